//! What must hold whatever the database is: each case is a function that takes the address of an empty
//! one.

mod api;
mod restart;

pub use self::{api::*, restart::*};

/// Makes a test of each case, with a database of its own from the expression: anything with a method
/// `url`.
#[macro_export]
macro_rules! cases {
    ($database:expr) => {
        $crate::cases! { $database;
            // api
            a_bad_mcp_configuration_is_blocked_and_a_good_one_passes,
            a_pickle_that_runs_code_is_blocked_and_weights_pass,
            a_file_that_cannot_be_parsed_is_a_failed_scan,
            scans_are_remembered_listed_and_told_apart,
            what_a_client_asks_wrongly_is_a_clear_error,
            every_answer_has_a_request_id_and_a_given_one_comes_back,
            series_agree_with_what_was_asked,
            queries_are_timed_by_name_and_connections_counted,
            // restart
            scans_outlive_the_platform,
            a_restart_ends_the_scans_of_its_own_instance_only,
        }
    };
    ($database:expr; $($case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                let database = $database;
                $crate::cases::$case(&database.url());
            }
        )*
    };
}
