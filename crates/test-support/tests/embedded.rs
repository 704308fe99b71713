//! The conformance suite against the Runtime of this process, with each of its stores.

mod memory {
    test_support::conformance_tests!(test_support::embedded::in_memory);
}

mod sqlite {
    test_support::conformance_tests!(test_support::embedded::in_sqlite);
}
