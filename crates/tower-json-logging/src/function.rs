/// The name of the function that it is in, for the key `function`: a `&'static str`.
///
/// Without it, a line has the name of the nearest span of the same module, which is the function's where
/// `#[instrument]` made the span.
///
/// ```
/// use tower_json_logging::function;
///
/// struct Scan;
///
/// impl Scan {
///     async fn run(&self) -> &'static str {
///         tracing::info!(function = function!(), "scan finished");
///         [1].map(|_| function!())[0]
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(Scan.run().await, "run"); // in closures, too
/// # }
/// ```
#[macro_export]
macro_rules! function {
    () => {{
        const fn here() {}
        $crate::__function_of(&here)
    }};
}

/// The name of the function around one, by the path of its type.
#[doc(hidden)]
pub fn __function_of<F>(_: &F) -> &'static str {
    let path = std::any::type_name::<F>();
    let mut segments = path.rsplit("::").skip(1);
    // Closures and futures have no name: `{{closure}}`.
    segments
        .find(|segment| !segment.starts_with('{'))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{
        fmt::Display,
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    fn now<F: Future>(future: F) -> F::Output {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it waits"),
        }
    }

    trait Named {
        fn of_trait(&self) -> &'static str {
            function!()
        }

        fn of_impl(&self) -> &'static str;
    }

    struct Wrapped<T>(T);

    impl<T: Display> Named for Wrapped<T> {
        fn of_impl(&self) -> &'static str {
            drop(self.0.to_string());
            function!()
        }
    }

    impl<T: Display> Wrapped<T> {
        fn method<U: Display>(&self, other: &U) -> &'static str {
            drop(format!("{}{other}", self.0));
            function!()
        }
    }

    async fn future() -> &'static str {
        let inner = async { [function!(); 1].map(|name| (name, function!())) };
        let [(outside, inside)] = inner.await;
        assert_eq!(outside, inside);
        inside
    }

    #[test]
    fn a_function_is_known_by_its_name_alone() {
        assert_eq!(function!(), "a_function_is_known_by_its_name_alone");
        assert_eq!(Wrapped("text").of_trait(), "of_trait");
        assert_eq!(Wrapped(7).of_impl(), "of_impl");
        assert_eq!(Wrapped("text").method(&'c'), "method");
    }

    #[test]
    fn closures_and_futures_are_of_the_function_around_them() {
        let name = [()].map(|()| [()].map(|()| function!()));
        let expected = "closures_and_futures_are_of_the_function_around_them";
        assert_eq!(name, [[expected]]);
        assert_eq!(now(future()), "future");
    }
}
