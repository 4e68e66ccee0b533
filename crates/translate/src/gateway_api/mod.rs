//! Gateways and their routes: objects to what is to be served, and to status.
//!
//! A [`Gateway`]'s listeners are checked on their own; a [`Route`] finds the listeners that take it; its [`Rules`] are
//! compiled once, whatever number of Gateways and names they serve; a virtual host merges the routes of one name.

mod attach;
mod backend;
mod class;
mod deployment;
mod gateway;
mod grants;
mod listener;
mod listener_set;
mod manual;
mod nodes;
mod placement;
mod precedence;
mod preflight;
mod programmed;
mod rejected;
mod rules;
mod status;
mod tls;
mod virtual_host;

pub use attach::{Attachment, ParentRow, Route, RouteRow};
pub use class::Class;
pub use deployment::{
    AGENT_PORT, Deployed, GATEWAY_LABEL, MANAGED_BY, MANAGED_LABEL, SERVICE_ACCOUNT_ANNOTATION, infrastructure_name,
    service_account,
};
pub use gateway::{Gateway, GatewayRow};
pub use listener::{Listener, on_ipv6};
pub use listener_set::{ListenerRow, Refusal};
pub use manual::{Claim, Front, Manual};
pub use nodes::Node;
pub use placement::Hindrance;
pub use rejected::Rejected;
pub use rules::{CompiledRule, Rules, RulesRow};
pub use status::{GatewayStatus, RouteStatus};
pub(crate) use virtual_host::virtual_host;
