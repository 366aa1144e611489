//! lakewright-aws
