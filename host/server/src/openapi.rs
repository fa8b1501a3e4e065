//! The OpenAPI 3.1 document, made from the routes, and the page that shows it without a network.
//!
//! What holds for every operation is added here once: which errors it can answer with follows from what it takes, and what
//! texts may be from what they are called.

mod forms;

use axum::Router;
use axum::routing::get;
use http::Method;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, Object, ObjectBuilder, OpenApi, OpenApiBuilder, Ref, RefOr,
    Required, ResponseBuilder, Schema,
};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::api::ApiOptions;
use crate::auth::{IDEMPOTENCY_HEAD, Requirement, SCHEME, actions, keeps_answers, operations};
use crate::problem::{FieldProblem, PROBLEM_JSON, ProblemBody, ProblemCode};

/// Where the document is, below the prefix.
const DOCUMENT: &str = "/openapi.json";

/// Where the page is, below the prefix.
const PAGE: &str = "/docs";

/// The parameter that names whose things a request is about.
const TENANT: &str = "tenant_id";

/// The parameter that names what was done.
const ACTION: &str = "action";

/// The media type of components.
const WASM: &str = "application/wasm";

const ABOUT: &str = "Durable workflows whose every step is a WebAssembly component in a cell of its own.

Every refusal is `application/problem+json` (RFC 9457) with a `code` that programs branch on. Lists come in pages: \
`limit`, `cursor`, `total`. What belongs to another tenant is answered as what is not there. `security` of an operation \
names the scope that credentials must have: each scope reaches what `viewer` sees, and `admin` reaches everything of the \
tenant; `platform-admin` is `admin` of no tenant.";

/// The document without any route.
pub(crate) fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Stepcell")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).build()))
        .build();
    OpenApiBuilder::new().info(info).components(Some(components())).build()
}

fn components() -> utoipa::openapi::Components {
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.description =
        Some("An API key, or a token of the issuer that the server trusts, where it trusts one.".to_owned());
    let field = (FieldProblem::name().into_owned(), FieldProblem::schema());
    let problem = (ProblemBody::name().into_owned(), ProblemBody::schema());
    ComponentsBuilder::new()
        .security_scheme(SCHEME, SecurityScheme::Http(bearer))
        .schema(field.0, field.1)
        .schema(problem.0, problem.1)
        .build()
}

/// Adds to each operation the errors that follow from what it takes and whom it is for.
pub(crate) fn complete(document: &mut OpenApi) {
    let known: Vec<_> = actions(document).iter().map(|action| action.as_str().into()).collect();
    for item in document.paths.paths.values_mut() {
        let all = [
            (Method::GET, &mut item.get),
            (Method::PUT, &mut item.put),
            (Method::POST, &mut item.post),
            (Method::DELETE, &mut item.delete),
            (Method::PATCH, &mut item.patch),
        ];
        for (method, operation) in all {
            let Some(operation) = operation else { continue };
            complete_operation(&method, operation);
            shape_operation(operation);
            name_actions(operation, &known);
        }
    }
    for (name, schema) in document.components.iter_mut().flat_map(|components| &mut components.schemas) {
        shape_schema(name, schema);
    }
}

/// Says which actions the audit log can be asked for.
fn name_actions(operation: &mut Operation, known: &[serde_json::Value]) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && parameter.name == ACTION
            && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
        {
            schema.enum_values = Some(known.to_vec());
        }
    }
}

/// Says what the texts of an operation's parameters may be, and that a component is bytes.
fn shape_operation(operation: &mut Operation) {
    let id = operation.operation_id.clone().unwrap_or_default();
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        if let (Some(form), Some(schema)) = (forms::of_parameter(&id, &parameter.name), &mut parameter.schema) {
            form.shape(schema);
        }
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body
        && let Some(RefOr::T(content)) = body.content.get_mut(WASM)
    {
        let bytes = SchemaFormat::KnownFormat(KnownFormat::Binary);
        let bytes = ObjectBuilder::new().schema_type(Type::String).format(Some(bytes)).min_length(Some(1));
        content.schema = Some(bytes.into());
    }
}

/// Says what the texts of an object may be, those of its parts too.
fn shape_schema(name: &str, schema: &mut RefOr<Schema>) {
    let shape = |object: &mut Object| {
        for (property, schema) in &mut object.properties {
            if let Some(form) = forms::of_property(name, property) {
                form.shape(schema);
            }
        }
    };
    match schema {
        RefOr::T(Schema::Object(object)) => shape(object),
        RefOr::T(Schema::AllOf(all)) => all.items.iter_mut().for_each(|part| shape_schema(name, part)),
        RefOr::T(_) | RefOr::Ref(_) => {}
    }
}

fn complete_operation(method: &Method, operation: &mut Operation) {
    let requirement = Requirement::of(operation);
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let is_in = |parameter: &RefOr<Parameter>, place: &ParameterIn| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == *place,
        RefOr::Ref(_) => false,
    };
    let takes = |place: &ParameterIn| parameters.iter().any(|parameter| is_in(parameter, place));
    let (in_path, in_query) = (takes(&ParameterIn::Path), takes(&ParameterIn::Query));
    let names_tenant = parameters.iter().any(|parameter| matches!(parameter, RefOr::T(one) if one.name == TENANT));
    let is_kept = keeps_answers(method, operation);
    let mut codes = vec![(503, "The store can not be used, or the server is stopping.")];
    if requirement != Some(Requirement::Public) {
        codes.push((401, "The credentials are missing or do not hold."));
        codes.push((403, "The credentials do not reach that far."));
        codes.push((429, "Too many requests, or a quota is used up; `Retry-After` says when to come back."));
    }
    if is_kept {
        codes.push((409, "The same request is being worked on."));
        codes.push((422, "The idempotency key was used for another request."));
    }
    // A callback says of nothing whether it is there.
    if in_path && requirement != Some(Requirement::Public) {
        codes.push((404, "What the path names is not there, or not the caller's."));
    }
    if names_tenant {
        codes.push((404, "The tenant is not the caller's; where something is made for one, there is no such tenant."));
    }
    if in_query || is_kept || operation.request_body.is_some() {
        codes.push((400, "The query, the idempotency key or the body is not as it has to be."));
    }
    if operation.request_body.is_some() {
        codes.push((408, "The body did not arrive in time."));
        codes.push((413, "The body is too large."));
        codes.push((415, "The body is of a type that is not read here, or compressed."));
    }
    for (status, description) in codes {
        let known = operation.responses.responses.entry(status.to_string());
        known.or_insert_with(|| RefOr::T(ResponseBuilder::new().description(description).build()));
    }
    for (status, response) in &mut operation.responses.responses {
        if let (true, RefOr::T(response)) = (status.starts_with(['4', '5']), response) {
            let problem = Ref::from_schema_name(ProblemBody::name());
            let content = ContentBuilder::new().schema(Some(RefOr::Ref(problem))).build();
            response.content.clear();
            response.content.insert(PROBLEM_JSON.to_owned(), RefOr::T(content));
        }
    }
    if is_kept {
        let about = "Makes the request safe to repeat: 1 to 256 bytes. The answer is kept for a day.";
        let key = ParameterBuilder::new()
            .name(IDEMPOTENCY_HEAD)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(about))
            .schema(Some(String::schema()))
            .build();
        operation.parameters.get_or_insert_default().push(RefOr::T(key));
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.required.get_or_insert(Required::True);
    }
}

/// The document itself, and a page that shows it: both are public, and neither asks for anything from elsewhere.
pub(crate) fn pages(document: &OpenApi, options: &ApiOptions) -> Router {
    let prefix = options.path_prefix.trim_end_matches('/');
    let url = format!("{prefix}{DOCUMENT}");
    if options.enable_ui {
        let config = Config::new([url.clone()]).validator_url("none").persist_authorization(false);
        return SwaggerUi::new(format!("{prefix}{PAGE}")).url(url, document.clone()).config(config).into();
    }
    let document = axum::Json(document.clone());
    Router::new().route(&url, get(move || async move { document }))
}

/// Every code with its status and title, for whoever writes a client.
#[must_use]
pub fn problem_codes() -> Vec<(&'static str, u16, &'static str)> {
    ProblemCode::ALL.iter().map(|code| (code.as_str(), code.status().as_u16(), code.title())).collect()
}

/// The operations of a document by method and path, with what each asks of its caller as the document has it.
#[must_use]
pub fn operations_of(document: &OpenApi) -> Vec<(String, String, String)> {
    let items = document.paths.paths.iter();
    let all = items.flat_map(|(path, item)| operations(item).into_iter().map(move |found| (path, found)));
    all.map(|(path, (method, operation))| (method.to_string(), path.clone(), role_of(operation))).collect()
}

fn role_of(operation: &Operation) -> String {
    match Requirement::of(operation) {
        Some(Requirement::Scope(scope)) => scope.to_string(),
        Some(Requirement::PlatformAdmin) => "platform-admin".to_owned(),
        Some(Requirement::Public) | None => "public".to_owned(),
    }
}
