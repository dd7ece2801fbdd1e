use std::{fs, time::Duration};

use http::StatusCode;
use tokio::time::advance;
use tower_metrics_exporter::{AdminService, Credentials, Exporter};

use crate::common::{TOKEN, ask, exporter, get};

async fn status(credentials: &Credentials, authorization: &[&str]) -> StatusCode {
    let exporter = Exporter::builder().build().unwrap();
    let admin = AdminService::new(&exporter).credentials(credentials.clone());
    let mut request = get("/metrics");
    for authorization in authorization {
        request = request.header("authorization", *authorization);
    }
    ask(&admin, request).await.0.status()
}

#[tokio::test]
async fn only_the_whole_token_will_do() {
    let token = Credentials::bearer(TOKEN).unwrap();
    let given = |token: &str| format!("Bearer {token}");
    for right in [
        given(TOKEN),
        format!("bearer  {TOKEN} "),
        format!("BEARER {TOKEN}"),
    ] {
        assert_eq!(status(&token, &[&right]).await, StatusCode::OK, "{right}");
    }
    let long = given(&TOKEN.repeat(100));
    let truncated = (0..TOKEN.len()).map(|length| given(&TOKEN[..length]));
    let wrong = [
        given(&TOKEN.to_uppercase()),
        given(&format!("{TOKEN}a")),
        given(&format!("{TOKEN}\u{80}")),
        given(&format!("{TOKEN}, Bearer {TOKEN}")),
        format!("Bearer{TOKEN}"),
        format!("Basic {TOKEN}"),
        format!("Digest {TOKEN}"),
        TOKEN.to_owned(),
        String::from("Bearer"),
        String::new(),
        long,
    ];
    for wrong in truncated.chain(wrong) {
        assert_eq!(
            status(&token, &[&wrong]).await,
            StatusCode::UNAUTHORIZED,
            "{wrong}"
        );
    }
    // Of two, something before may have looked at the other.
    let right = given(TOKEN);
    for two in [
        [&*right, &*right],
        [&*right, "Bearer guess"],
        ["Bearer guess", &*right],
    ] {
        assert_eq!(status(&token, &two).await, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_name_and_its_password_will_do() {
    // As curl writes them: `curl -u 'prometheus:pass:word'`.
    let basic = Credentials::basic("prometheus", "pass:word").unwrap();
    for (authorization, expected) in [
        ("Basic cHJvbWV0aGV1czpwYXNzOndvcmQ=", StatusCode::OK),
        ("basic cHJvbWV0aGV1czpwYXNzOndvcmQ=", StatusCode::OK),
        // Another password, no password, no padding, not encoded, another scheme.
        (
            "Basic cHJvbWV0aGV1czpwYXNzOndvcmU=",
            StatusCode::UNAUTHORIZED,
        ),
        ("Basic cHJvbWV0aGV1czo=", StatusCode::UNAUTHORIZED),
        (
            "Basic cHJvbWV0aGV1czpwYXNzOndvcmQ",
            StatusCode::UNAUTHORIZED,
        ),
        ("Basic prometheus:pass:word", StatusCode::UNAUTHORIZED),
        (
            "Bearer cHJvbWV0aGV1czpwYXNzOndvcmQ=",
            StatusCode::UNAUTHORIZED,
        ),
    ] {
        assert_eq!(
            status(&basic, &[authorization]).await,
            expected,
            "{authorization}"
        );
    }
}

#[tokio::test]
async fn who_has_none_is_told_what_would_do() {
    let (exporter, _) = exporter();
    let bearer = Credentials::bearer(TOKEN).unwrap();
    let basic = Credentials::basic("a", "b").unwrap();
    let basic_challenge = "Basic realm=\"admin\", charset=\"UTF-8\"";
    for (credentials, challenges) in [
        (bearer.clone(), &["Bearer realm=\"admin\""][..]),
        (basic.clone(), &[basic_challenge]),
        (
            bearer.and(&basic),
            &["Bearer realm=\"admin\"", basic_challenge],
        ),
    ] {
        let admin = AdminService::new(&exporter).credentials(credentials);
        let (response, _) = ask(&admin, get("/metrics")).await;
        let given = response.headers().get_all("www-authenticate").iter();
        assert!(given.eq(challenges.iter()));
    }
    let both = bearer.and(&basic);
    assert_eq!(status(&both, &["Basic YTpi"]).await, StatusCode::OK);
    let token = format!("Bearer {TOKEN}");
    assert_eq!(status(&both, &[&token]).await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "first\r\n\n second \n").unwrap();
    let credentials = Credentials::bearer_file(&path).unwrap();
    let is_good = async |token: &str| {
        advance(Duration::from_secs(1)).await;
        let authorization = format!("Bearer {token}");
        status(&credentials, &[&authorization]).await == StatusCode::OK
    };
    assert!(is_good("first").await);
    assert!(is_good("second").await);
    // Of the same length, and another node, as Kubernetes and others do it.
    let next = folder.path().join("next");
    fs::write(&next, "third\r\n\n second \n").unwrap();
    fs::rename(&next, &path).unwrap();
    assert!(is_good("third").await);
    assert!(!is_good("first").await);
    // In place.
    fs::write(&path, "fourth").unwrap();
    assert!(is_good("fourth").await);
    assert!(!is_good("third").await);
    // What is no good changes nothing, however often it is looked at.
    for bad in ["", "two words", "\u{e4}"] {
        fs::write(&path, bad).unwrap();
        assert!(is_good("fourth").await, "{bad}");
        assert!(!is_good(bad).await);
    }
    fs::remove_file(&path).unwrap();
    assert!(is_good("fourth").await);
    fs::write(&path, "fifth").unwrap();
    assert!(is_good("fifth").await);
    assert!(!is_good("fourth").await);
}

/// A pipe is a file that is not read until somebody writes.
#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn what_is_read_slowly_does_not_take_the_place_of_what_came_after() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "first").unwrap();
    let credentials = Credentials::bearer_file(&path).unwrap();
    let reload = || {
        let credentials = credentials.clone();
        std::thread::spawn(move || credentials.reload().unwrap())
    };

    fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let slow = reload();
    // It can be opened once the other side is.
    let mut pipe = fs::File::options().write(true).open(&path).unwrap();
    let next = folder.path().join("next");
    fs::write(&next, "third").unwrap();
    fs::rename(&next, &path).unwrap();
    let quick = reload();
    // If it does not wait for the other, it is done soon.
    for _ in 0..100 {
        if !quick.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    std::io::Write::write_all(&mut pipe, b"second").unwrap();
    drop(pipe);
    slow.join().unwrap();
    quick.join().unwrap();
    advance(Duration::from_secs(1)).await;
    for (token, expected) in [
        ("third", StatusCode::OK),
        ("second", StatusCode::UNAUTHORIZED),
    ] {
        let authorization = format!("Bearer {token}");
        assert_eq!(status(&credentials, &[&authorization]).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_is_at_once_and_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passwords");
    fs::write(&path, "a:b\n").unwrap();
    let credentials = Credentials::basic_file(&path).unwrap();
    assert_eq!(status(&credentials, &["Basic YTpi"]).await, StatusCode::OK);
    fs::write(&path, "a:c\n").unwrap();
    credentials.reload().unwrap();
    let unauthorized = StatusCode::UNAUTHORIZED;
    assert_eq!(status(&credentials, &["Basic YTpi"]).await, unauthorized);
    assert_eq!(status(&credentials, &["Basic YTpj"]).await, StatusCode::OK);
    fs::write(&path, "a:d\nsecret-without-a-name\n").unwrap();
    let error = credentials.reload().unwrap_err();
    let expected = format!(
        "the credentials in {}, line 2, have no name; give NAME:PASSWORD, with no colon in the name",
        path.display()
    );
    assert_eq!(error.to_string(), expected);
    assert!(!format!("{error:?}").contains("secret-without"));
    assert_eq!(status(&credentials, &["Basic YTpj"]).await, StatusCode::OK);
}

#[test]
fn what_cannot_be_used_is_an_error_that_does_not_show_it() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Credentials::bearer_file(folder.path().join("none")).unwrap_err();
    assert!(missing.is_io());
    assert!(std::error::Error::source(&missing).is_some());
    let long = "hidden".repeat(200);
    for (error, says) in [
        (Credentials::bearer("").unwrap_err(), "are empty"),
        (
            Credentials::bearer("hidden token").unwrap_err(),
            "no bearer token",
        ),
        (
            Credentials::bearer("hidden\u{e4}").unwrap_err(),
            "no bearer token",
        ),
        (Credentials::bearer(&long).unwrap_err(), "too long"),
        (
            Credentials::basic("", "hidden").unwrap_err(),
            "have no name",
        ),
        (
            Credentials::basic("a:b", "hidden").unwrap_err(),
            "have no name",
        ),
        (Credentials::basic("a", &long).unwrap_err(), "too long"),
    ] {
        assert!(error.to_string().contains(says), "{error}");
        assert!(
            !format!("{error} {error:?}").contains("hidden"),
            "{error:?}"
        );
        assert!(!error.is_io());
    }
    let credentials = Credentials::bearer("hidden").unwrap();
    assert!(!format!("{credentials:?}").contains("hidden"));
}
