//! What attacks import of the host, as a core module writes it. A function goes by the name of its constant.

pub(crate) const CONTEXT_GET: &str =
    r#"(import "stepcell:step/context@0.1.0" "get" (func $context_get (param i32 i32 i32)))"#;
pub(crate) const CONTEXT_SET: &str =
    r#"(import "stepcell:step/context@0.1.0" "set" (func $context_set (param i32 i32 i32 i32 i32)))"#;
pub(crate) const CONTEXT_DELETE: &str =
    r#"(import "stepcell:step/context@0.1.0" "delete" (func $context_delete (param i32 i32 i32)))"#;
pub(crate) const CONTEXT_KEYS: &str =
    r#"(import "stepcell:step/context@0.1.0" "keys" (func $context_keys (param i32 i32 i32)))"#;
pub(crate) const CONTEXT_METADATA: &str =
    r#"(import "stepcell:step/context@0.1.0" "metadata" (func $context_metadata (param i32 i32 i32)))"#;
pub(crate) const CONTEXT_INFO: &str =
    r#"(import "stepcell:step/context@0.1.0" "info" (func $context_info (param i32)))"#;
pub(crate) const CONTEXT_HISTORY: &str =
    r#"(import "stepcell:step/context@0.1.0" "history" (func $context_history (param i32)))"#;
pub(crate) const CONTEXT_PREVIOUS: &str =
    r#"(import "stepcell:step/context@0.1.0" "previous-result" (func $context_previous (param i32)))"#;
pub(crate) const CONFIG_GET: &str =
    r#"(import "stepcell:step/config@0.1.0" "get" (func $config_get (param i32 i32 i32)))"#;
pub(crate) const SECRETS_GET: &str =
    r#"(import "stepcell:step/secrets@0.1.0" "get" (func $secrets_get (param i32 i32 i32)))"#;
pub(crate) const LOG_WRITE: &str =
    r#"(import "stepcell:step/log@0.1.0" "write" (func $log_write (param i32 i32 i32 i32 i32 i32)))"#;

pub(crate) const GET_STDIN: &str = r#"(import "wasi:cli/stdin@0.2.0" "get-stdin" (func $get_stdin (result i32)))"#;
pub(crate) const GET_STDOUT: &str = r#"(import "wasi:cli/stdout@0.2.0" "get-stdout" (func $get_stdout (result i32)))"#;
pub(crate) const GET_STDERR: &str = r#"(import "wasi:cli/stderr@0.2.0" "get-stderr" (func $get_stderr (result i32)))"#;
pub(crate) const GET_TERMINAL: &str =
    r#"(import "wasi:cli/terminal-stdout@0.2.0" "get-terminal-stdout" (func $get_terminal (param i32)))"#;
pub(crate) const GET_ENVIRONMENT: &str =
    r#"(import "wasi:cli/environment@0.2.0" "get-environment" (func $get_environment (param i32)))"#;
pub(crate) const GET_ARGUMENTS: &str =
    r#"(import "wasi:cli/environment@0.2.0" "get-arguments" (func $get_arguments (param i32)))"#;
pub(crate) const INITIAL_CWD: &str =
    r#"(import "wasi:cli/environment@0.2.0" "initial-cwd" (func $initial_cwd (param i32)))"#;
pub(crate) const EXIT: &str = r#"(import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))"#;
pub(crate) const GET_DIRECTORIES: &str =
    r#"(import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $get_directories (param i32)))"#;

pub(crate) const CHECK_WRITE: &str =
    r#"(import "wasi:io/streams@0.2.0" "[method]output-stream.check-write" (func $check_write (param i32 i32)))"#;
pub(crate) const WRITE: &str =
    r#"(import "wasi:io/streams@0.2.0" "[method]output-stream.write" (func $write (param i32 i32 i32 i32)))"#;
pub(crate) const WRITE_AND_FLUSH: &str = r#"(import "wasi:io/streams@0.2.0"
    "[method]output-stream.blocking-write-and-flush" (func $write_and_flush (param i32 i32 i32 i32)))"#;
pub(crate) const WRITE_ZEROES: &str = r#"(import "wasi:io/streams@0.2.0" "[method]output-stream.write-zeroes"
    (func $write_zeroes (param i32 i64 i32)))"#;
pub(crate) const SPLICE: &str = r#"(import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-splice"
    (func $splice (param i32 i32 i64 i32)))"#;
pub(crate) const SUBSCRIBE_OUTPUT: &str = r#"(import "wasi:io/streams@0.2.0" "[method]output-stream.subscribe"
    (func $subscribe_output (param i32) (result i32)))"#;
pub(crate) const DROP_OUTPUT: &str =
    r#"(import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop_output (param i32)))"#;
pub(crate) const READ_INPUT: &str = r#"(import "wasi:io/streams@0.2.0" "[method]input-stream.blocking-read"
    (func $read_input (param i32 i64 i32)))"#;
pub(crate) const SUBSCRIBE_INPUT: &str = r#"(import "wasi:io/streams@0.2.0" "[method]input-stream.subscribe"
    (func $subscribe_input (param i32) (result i32)))"#;
pub(crate) const BLOCK: &str = r#"(import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#;
pub(crate) const READY: &str =
    r#"(import "wasi:io/poll@0.2.0" "[method]pollable.ready" (func $ready (param i32) (result i32)))"#;
pub(crate) const DROP_POLLABLE: &str =
    r#"(import "wasi:io/poll@0.2.0" "[resource-drop]pollable" (func $drop_pollable (param i32)))"#;
pub(crate) const POLL: &str = r#"(import "wasi:io/poll@0.2.0" "poll" (func $poll (param i32 i32 i32)))"#;

pub(crate) const CLOCK_NOW: &str =
    r#"(import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $clock_now (result i64)))"#;
pub(crate) const SUBSCRIBE_INSTANT: &str = r#"(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-instant"
    (func $subscribe_instant (param i64) (result i32)))"#;
pub(crate) const SUBSCRIBE_DURATION: &str = r#"(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration"
    (func $subscribe_duration (param i64) (result i32)))"#;
pub(crate) const WALL_NOW: &str = r#"(import "wasi:clocks/wall-clock@0.2.0" "now" (func $wall_now (param i32)))"#;
pub(crate) const RANDOM_BYTES: &str =
    r#"(import "wasi:random/random@0.2.0" "get-random-bytes" (func $random_bytes (param i64 i32)))"#;
pub(crate) const INSECURE_BYTES: &str =
    r#"(import "wasi:random/insecure@0.2.0" "get-insecure-random-bytes" (func $insecure_bytes (param i64 i32)))"#;

pub(crate) const NETWORK: &str =
    r#"(import "wasi:sockets/instance-network@0.2.0" "instance-network" (func $network (result i32)))"#;
pub(crate) const RESOLVE: &str = r#"(import "wasi:sockets/ip-name-lookup@0.2.0" "resolve-addresses"
    (func $resolve (param i32 i32 i32 i32)))"#;
pub(crate) const TCP_SOCKET: &str = r#"(import "wasi:sockets/tcp-create-socket@0.2.0" "create-tcp-socket"
    (func $tcp_socket (param i32 i32)))"#;
pub(crate) const UDP_SOCKET: &str = r#"(import "wasi:sockets/udp-create-socket@0.2.0" "create-udp-socket"
    (func $udp_socket (param i32 i32)))"#;

pub(crate) const NEW_FIELDS: &str =
    r#"(import "wasi:http/types@0.2.0" "[constructor]fields" (func $new_fields (result i32)))"#;
pub(crate) const NEW_REQUEST: &str =
    r#"(import "wasi:http/types@0.2.0" "[constructor]outgoing-request" (func $new_request (param i32) (result i32)))"#;
pub(crate) const SET_SCHEME: &str = r#"(import "wasi:http/types@0.2.0" "[method]outgoing-request.set-scheme"
    (func $set_scheme (param i32 i32 i32 i32 i32) (result i32)))"#;
pub(crate) const SET_AUTHORITY: &str = r#"(import "wasi:http/types@0.2.0" "[method]outgoing-request.set-authority"
    (func $set_authority (param i32 i32 i32 i32) (result i32)))"#;
pub(crate) const SET_PATH: &str = r#"(import "wasi:http/types@0.2.0" "[method]outgoing-request.set-path-with-query"
    (func $set_path (param i32 i32 i32 i32) (result i32)))"#;
pub(crate) const SUBSCRIBE_RESPONSE: &str = r#"(import "wasi:http/types@0.2.0"
    "[method]future-incoming-response.subscribe" (func $subscribe_response (param i32) (result i32)))"#;
pub(crate) const GET_RESPONSE: &str = r#"(import "wasi:http/types@0.2.0" "[method]future-incoming-response.get"
    (func $get_response (param i32 i32)))"#;
pub(crate) const HANDLE: &str =
    r#"(import "wasi:http/outgoing-handler@0.2.0" "handle" (func $handle (param i32 i32 i32 i32)))"#;
