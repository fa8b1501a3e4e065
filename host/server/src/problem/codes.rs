//! Every code that a request can be refused with, with its status: one table.

use http::StatusCode;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $status:ident $code:literal, $title:literal;)+) => {
        /// What programs branch on. A code never changes its meaning or its status; new ones may come.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ProblemCode { $($(#[$doc])* $variant),+ }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as it is sent.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// The status that it is answered with.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }

            /// The kind in a few words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }
        }
    };
}

codes! {
    /// The body is no JSON, or not the JSON that it has to be; or a parameter is wrong.
    RequestInvalid = BAD_REQUEST "request.invalid", "The request is not as it has to be";
    /// The cursor is of another list, or made up.
    CursorInvalid = BAD_REQUEST "cursor.invalid", "The cursor is not one of this list";
    /// A feed shall begin after a position that there is not yet.
    PositionNotFound = BAD_REQUEST "position.not_found", "There is no such position";
    /// No credentials, or none that hold.
    Unauthenticated = UNAUTHORIZED "auth.required", "Credentials are missing or do not hold";
    /// The key is not known, revoked or expired.
    KeyRefused = UNAUTHORIZED "auth.key_refused", "The key does not hold";
    /// The token is malformed, expired, or not signed by whom it must be.
    TokenRefused = UNAUTHORIZED "auth.token_refused", "The token does not hold";
    /// The credentials hold and are not enough.
    ScopeMissing = FORBIDDEN "auth.scope_missing", "The credentials do not reach that far";
    /// Only the platform's own administrators may.
    AdminOnly = FORBIDDEN "auth.admin_only", "Only administrators of the platform may";
    /// The tenant is suspended.
    TenantSuspended = FORBIDDEN "tenant.suspended", "The tenant is suspended";
    /// Nobody has made the caller's tenant.
    TenantUnknown = FORBIDDEN "tenant.unknown", "Nobody has made the tenant";
    /// The task is somebody else's.
    TaskUnauthorized = FORBIDDEN "task.unauthorized", "The task is not this user's";
    /// The callback's token or signature is wrong.
    CallbackRefused = FORBIDDEN "callback.refused", "The callback is not genuine";
    /// There is no such route.
    RouteNotFound = NOT_FOUND "route.not_found", "There is no such route";
    /// There is no such workflow, or no such version.
    DefinitionNotFound = NOT_FOUND "definition.not_found", "There is no such workflow";
    /// There is no such component.
    ComponentNotFound = NOT_FOUND "component.not_found", "There is no such component";
    /// There is no such instance.
    InstanceNotFound = NOT_FOUND "instance.not_found", "There is no such instance";
    /// There is no such task.
    TaskNotFound = NOT_FOUND "task.not_found", "There is no such task";
    /// There is no such tenant.
    TenantNotFound = NOT_FOUND "tenant.not_found", "There is no such tenant";
    /// There is no such API key.
    KeyNotFound = NOT_FOUND "key.not_found", "There is no such key";
    /// There is no such secret.
    SecretNotFound = NOT_FOUND "secret.not_found", "There is no such secret";
    /// There is no such webhook or delivery.
    WebhookNotFound = NOT_FOUND "webhook.not_found", "There is no such webhook";
    /// The route is there and does not take this method.
    MethodNotAllowed = METHOD_NOT_ALLOWED "method.not_allowed", "The route does not take this method";
    /// The request did not arrive in time.
    RequestTimeout = REQUEST_TIMEOUT "request.timeout", "The request did not arrive in time";
    /// The version starts nothing new.
    DefinitionInactive = CONFLICT "definition.inactive", "The version is deactivated";
    /// Instances refer to it.
    DefinitionInUse = CONFLICT "definition.in_use", "Instances refer to the version";
    /// The workflow has as many versions as it may have.
    TooManyVersions = CONFLICT "definition.too_many_versions", "The workflow has as many versions as it may have";
    /// The version is registered with other content.
    VersionTaken = CONFLICT "version.taken", "The version is registered with other content";
    /// A component can do more than the version before it.
    ComponentWantsMore = CONFLICT "component.wants_more", "The component wants more than the version before it";
    /// The instance is finished.
    InstanceFinished = CONFLICT "instance.already_completed", "The instance is finished";
    /// What is asked for can not happen where the thing stands.
    WrongState = CONFLICT "state.wrong", "This can not happen where it stands";
    /// Somebody completed or canceled the task before.
    TaskFinished = CONFLICT "task.already_completed", "The task is finished";
    /// No step waits for the message, and none will.
    NobodyWaits = CONFLICT "message.nobody_waits", "Nobody waits for the message";
    /// The same request is being worked on.
    IdempotencyInProgress = CONFLICT "idempotency.in_progress", "The same request is being worked on";
    /// It is there already.
    AlreadyExists = CONFLICT "resource.already_exists", "It is there already";
    /// The resource changed since it was read.
    PreconditionFailed = PRECONDITION_FAILED "resource.changed", "It has changed since it was read";
    /// The body is too large.
    BodyTooLarge = PAYLOAD_TOO_LARGE "body.too_large", "The body is too large";
    /// The body is of a type that the route does not read.
    MediaType = UNSUPPORTED_MEDIA_TYPE "body.media_type", "The route does not read bodies of this type";
    /// Data does not fit the schema that it is checked against.
    DataInvalid = UNPROCESSABLE_ENTITY "data.invalid", "The data does not fit";
    /// The definition is wrong.
    DefinitionInvalid = UNPROCESSABLE_ENTITY "definition.invalid", "The definition is not valid";
    /// The component is refused.
    ComponentRefused = UNPROCESSABLE_ENTITY "component.refused", "The component is refused";
    /// The idempotency key was used for something else.
    IdempotencyMismatch = UNPROCESSABLE_ENTITY "idempotency.mismatch", "The idempotency key was used for another request";
    /// Too many requests with these credentials.
    RateLimited = TOO_MANY_REQUESTS "rate.limited", "Too many requests";
    /// The tenant has used up what it may.
    QuotaExceeded = TOO_MANY_REQUESTS "quota.exceeded", "A quota of the tenant is used up";
    /// The head of the request is too large.
    HeadTooLarge = REQUEST_HEADER_FIELDS_TOO_LARGE "head.too_large", "The head of the request is too large";
    /// The server's own mistake.
    Internal = INTERNAL_SERVER_ERROR "internal", "The server made a mistake";
    /// The server can not do this for want of something that its operator sets.
    NotConfigured = SERVICE_UNAVAILABLE "server.not_configured", "The server is not set up for this";
    /// The store can not be used right now.
    StoreUnavailable = SERVICE_UNAVAILABLE "store.unavailable", "The store can not be used";
    /// The server is stopping, or has no room left.
    Unavailable = SERVICE_UNAVAILABLE "server.unavailable", "The server takes nothing new right now";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_code_stands_for_two_problems() {
        let codes: HashSet<_> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), ProblemCode::ALL.len());
    }
}
