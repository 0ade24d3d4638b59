//! A service as one principal may use it. The services' public traits are implemented for these handles.

use std::sync::Arc;

use crate::access::Principal;

/// A principal and a service. It is owned, so that it may be kept and sent to other tasks. The principal of a request is shared by all its handles.
pub(crate) struct ServiceHandle<S> {
    pub(crate) principal: Arc<Principal>,
    pub(crate) service: Arc<S>,
}

impl<S> ServiceHandle<S> {
    pub(crate) fn new(principal: &Arc<Principal>, service: &Arc<S>) -> Self {
        Self { principal: Arc::clone(principal), service: Arc::clone(service) }
    }
}
