//! Reads members, and reports how much time an object needs if no attempt has enough.

use std::sync::Arc;

use lakewright_ports::Store;

use super::{
    Ports,
    member::{Request, Wanted},
    route::{Pass, route},
};
use crate::{
    kit::{ErrorKind, JobError, Stage, Unfinished},
    work::metered::Metered,
};

/// Reads the members and routes their records. If a single object is delivered again and the time runs out again before all
/// of it is read, the error is `TimeoutTooShort`.
///
/// # Errors
/// The failure is not that of a single member.
pub(super) async fn members(request: Request<'_>, wanted: &[Wanted]) -> Result<Pass, JobError> {
    let [alone] = wanted else {
        return route(request, wanted).await;
    };
    if request.receives < 2 || request.batch.candidates.len() > 1 {
        return route(request, wanted).await;
    }
    let source = &request.candidate(alone.candidate)?.source;
    let metered = Metered::new(&request.ports.store);
    let ports = Ports {
        store: Arc::clone(&metered) as Arc<dyn Store>,
        ..request.ports.clone()
    };
    let begun = ports.clock.now();
    let of_ports = Request {
        ports: &ports,
        ..request
    };
    match route(of_ports, wanted).await {
        Err(error) if error.kind() == ErrorKind::Deadline => {
            let (done, size) = (metered.bytes(), metered.size());
            // Without a table it is read twice: once for its columns.
            let inferred = request.destinations.iter();
            let inferred = inferred.filter(|destination| destination.table.is_none());
            let passes = 1 + inferred.count() as u64;
            let unfinished = Unfinished {
                begun,
                done,
                all: size * passes,
                of: "bytes",
                tries: request.receives,
                instead: "name a table, so that the columns need not be inferred, or land smaller objects",
            };
            Err(unfinished
                .too_short(&*ports.clock, Stage::Read)
                .of(source.clone()))
        }
        read => read,
    }
}
