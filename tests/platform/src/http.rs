use std::io::{BufRead as _, BufReader};

use serde_json::Value;
use ureq::{Agent, Body, http::Response};

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header `x-request-id`, or nothing.
    pub request_id: String,
    /// The header `location`, or nothing.
    pub location: String,
    /// The header `www-authenticate`, or nothing.
    pub www_authenticate: String,
    /// The whole body.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn read(mut response: Response<Body>) -> Self {
        let header = |name: &str| {
            let value = response.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let request_id = header("x-request-id");
        let location = header("location");
        let www_authenticate = header("www-authenticate");
        let text = response
            .body_mut()
            .with_config()
            .limit(64 << 20)
            .read_to_string();
        Self {
            status: response.status().as_u16(),
            request_id,
            location,
            www_authenticate,
            text: text.expect("the body is UTF-8"),
        }
    }
}

/// The answer to a `GET`, whatever its status.
pub fn get(url: &str) -> Answer {
    let response = agent().get(url).call();
    Answer::read(response.unwrap_or_else(|error| panic!("GET {url}: {error}")))
}

/// The answer to a `POST` of this text as JSON, whatever its status.
pub fn post(url: &str, body: impl ToString) -> Answer {
    let request = agent().post(url).header("content-type", "application/json");
    let response = request.send(body.to_string());
    Answer::read(response.unwrap_or_else(|error| panic!("POST {url}: {error}")))
}

/// The answer to a request without a body, with this header.
pub fn get_with(url: &str, header: (&str, &str)) -> Answer {
    let response = agent().get(url).header(header.0, header.1).call();
    Answer::read(response.unwrap_or_else(|error| panic!("GET {url}: {error}")))
}

/// As [`post`], with this header, too.
pub fn post_with(url: &str, header: (&str, &str), body: impl ToString) -> Answer {
    let request = agent().post(url).header("content-type", "application/json");
    let response = request.header(header.0, header.1).send(body.to_string());
    Answer::read(response.unwrap_or_else(|error| panic!("POST {url}: {error}")))
}

/// The answer to a `PUT` without a body.
pub fn put(url: &str) -> Answer {
    let response = agent().put(url).send_empty();
    Answer::read(response.unwrap_or_else(|error| panic!("PUT {url}: {error}")))
}

/// The answer to a `PUT` of this text, with this header.
pub fn put_with(url: &str, header: (&str, &str), body: &str) -> Answer {
    let request = agent().put(url).header(header.0, header.1);
    let response = request.send(body);
    Answer::read(response.unwrap_or_else(|error| panic!("PUT {url}: {error}")))
}

/// Reads the server-sent events of a `GET` until the stream ends, and gives the data of each, as JSON.
pub fn events(url: &str, mut each: impl FnMut(Value)) {
    let mut response = agent()
        .get(url)
        .call()
        .unwrap_or_else(|error| panic!("GET {url}: {error}"));
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    for line in BufReader::new(response.body_mut().as_reader()).lines() {
        if let Some(data) = line.expect("the stream is UTF-8").strip_prefix("data: ") {
            each(serde_json::from_str(data).expect("the data is JSON"));
        }
    }
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into()
}
