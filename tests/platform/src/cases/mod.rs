//! What must hold whatever the database is: each case is a function that takes the address of an empty
//! one.

mod api;
mod background;
mod baseline;
mod keys;
mod lifecycle;
mod restart;

pub use self::{api::*, background::*, baseline::*, keys::*, lifecycle::*, restart::*};

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
            // background
            a_scan_in_the_background_is_answered_at_once_and_told_of_at_its_end,
            no_more_scans_wait_than_may,
            two_instances_share_what_waits_and_each_scan_runs_once,
            what_is_wrong_with_a_path_is_said_before_the_scan_waits,
            // baseline
            a_change_against_the_baseline_is_drift_until_it_is_approved,
            only_a_completed_scan_can_be_a_baseline,
            // keys
            without_being_told_to_nobody_asks_for_keys,
            a_key_lets_pass_what_its_role_may_and_every_use_is_counted,
            a_key_is_nowhere_to_be_read,
            // lifecycle
            a_scan_that_is_stuck_is_seen_by_its_age,
            an_engine_that_fails_inside_a_completed_scan_is_seen,
            every_status_is_spelled_one_way_and_every_stream_ends,
            what_the_policy_blocks_is_not_a_failure,
            scans_of_every_type_and_end_are_counted_and_named,
            the_books_balance_whatever_was_asked,
            // restart
            what_waits_outlives_a_crash_and_what_ran_is_counted_as_lost,
            a_shutdown_lets_scans_finish_and_those_that_do_not_wait_again,
            a_survivor_ends_the_scans_of_a_dead_instance_once,
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
