//! lakewright-tests
