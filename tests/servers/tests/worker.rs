//! Workers on queues in a real PostgreSQL and a real Redis.

mod postgres {
    use server_tests::Postgres;

    platform_tests::worker_cases!(Postgres::start());
}

mod redis {
    use server_tests::Redis;

    platform_tests::worker_cases!(Redis::start());
}
