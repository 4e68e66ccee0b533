//! The Gateway API, v1.6.3: one type per concept, shared by the kinds.

mod class;
mod filter;
mod frontend;
#[allow(clippy::module_inception)]
mod gateway;
mod grant;
mod hostname;
mod http_route;
mod matching;
mod reference;
mod validate;

pub use class::GatewayClass;
pub use filter::{
    CorsFilter, Fraction, HeaderModifier, HttpFilter, HttpHeader, Mirror, PathModifier, Redirect, RedirectScheme,
    Rewrite,
};
pub use frontend::{
    AllowedListeners, BackendTls, ClientValidation, ClientValidationMode, FrontendTls, GatewayTls, ListenerNamespaces,
    OnePort, PortTls, RequirementText, SelectorText,
};
pub use gateway::{
    AllowedRoutes, FromNamespaces, Gateway, GatewayAddress, Infrastructure, Listener, ListenerTls, Protocol,
    RouteGroupKind, RouteNamespaces, TlsMode,
};
pub use grant::{GrantFrom, GrantTo, ReferenceGrant};
pub use http_route::{HttpBackendRef, HttpRoute, HttpRule, Retry, Timeouts};
pub use matching::{HeaderMatch, HttpMatch, Method, PathMatch, QueryParamMatch, ValueMatch};
pub use reference::{BackendRef, LocalRef, ObjectReference, ParametersRef, ParentRef};

/// The group of the Gateway API's own kinds.
pub const GROUP: &str = "gateway.networking.k8s.io";
/// The controller name of every GatewayClass served here.
pub const CONTROLLER: &str = "mesh.tombolo.dev/gateway-controller";
