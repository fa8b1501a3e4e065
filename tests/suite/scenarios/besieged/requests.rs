//! Requests that are whole and bad: what they are, and what may be answered.

use super::client::Client;

/// How many zeros a bomb unpacks to, in MiB.
const BOMB_MIB: usize = 64;

/// How long a text a megabyte is, roughly: less than what a body may have.
const MEGABYTE: usize = 1_000_000;

/// One kind of bad request.
pub(super) struct Bad {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    /// What may be answered.
    pub(super) statuses: &'static [u16],
}

fn bad(name: &'static str, bytes: Vec<u8>, statuses: &'static [u16]) -> Bad {
    Bad { name, bytes, statuses }
}

/// Every kind.
pub(super) fn all(client: &Client) -> Vec<Bad> {
    [bodies(client), addresses(client), heads(client)].into_iter().flatten().collect()
}

fn bodies(client: &Client) -> Vec<Bad> {
    let start = |input: &str| format!(r#"{{"definition_name":"approval","input_data":{input}}}"#);
    let json = |body: &str| client.with_json("/instances", "", body.as_bytes());
    let wide = |count: usize| (0..count).map(|key| format!(r#""k{key}":0"#)).collect::<Vec<_>>().join(",");
    let packed = |path: &str| client.with_json(path, "content-encoding: gzip\r\n", &gzip_bomb());
    vec![
        bad("a gzip bomb as JSON", packed("/instances"), &[415]),
        bad("a gzip bomb as a component", packed("/components?name=a&version=1.0.0"), &[415]),
        bad("deep JSON", json(&start(&"[".repeat(MEGABYTE))), &[400]),
        bad("deep JSON that ends", json(&start(&format!("{}{}", "[".repeat(70), "]".repeat(70)))), &[400]),
        bad("deep objects", json(&start(&r#"{"a":"#.repeat(100_000))), &[400]),
        bad("a wide object", json(&start(&format!("{{{}}}", wide(100_000)))), &[422]),
        bad("a wide array", json(&start(&format!("[{}0]", "0,".repeat(MEGABYTE / 2)))), &[422]),
        bad("a long text", json(&start(&format!(r#"{{"a":"{}"}}"#, "x".repeat(MEGABYTE)))), &[201, 422]),
        bad("invalid UTF-8", client.with_json("/instances", "", b"{\"definition_name\":\"\xff\xfe\"}"), &[400]),
        bad("a key that stands twice", json(r#"{"definition_name":"approval","definition_name":"x"}"#), &[400]),
        bad("a key twice in the data", json(&start(r#"{"a":1,"\u0061":2}"#)), &[400]),
        bad("an unknown field", json(r#"{"definition_name":"approval","tenant":"other"}"#), &[400]),
        bad("what is no JSON", json("hello"), &[400]),
        bad("a number without end", json(&start(&"9".repeat(MEGABYTE))), &[400, 422]),
        bad("a component that is none", component(client), &[422, 503]),
    ]
}

fn component(client: &Client) -> Vec<u8> {
    let body = vec![0; MEGABYTE];
    let more = format!("content-type: application/wasm\r\ncontent-length: {}\r\n", body.len());
    let mut request = client.head("POST", "/components?name=acme/a&version=1.0.0", &more).into_bytes();
    request.extend(body);
    request
}

fn addresses(client: &Client) -> Vec<Bad> {
    let get = |path: &str| client.head("GET", path, "").into_bytes();
    let mut bads = vec![
        bad("a forged cursor", get("/instances?cursor=eyJ2IjoxfQ"), &[400]),
        bad("a cursor of bytes", get("/instances?cursor=%00%ff%fe"), &[400]),
        bad("a limit without end", get("/instances?limit=99999999999999999999"), &[400]),
        bad("an unknown parameter", get("/instances?every=thing"), &[400]),
        bad("an id that climbs", get("/instances/../../../etc/passwd"), &[404]),
        bad("an encoded id that climbs", get("/instances/..%2f..%2fetc%2fpasswd"), &[404]),
        bad("an id that climbs twice encoded", get("/instances/%252e%252e%252f"), &[404]),
        bad("an id with a zero", get("/instances/%00"), &[404]),
        bad("a name that climbs", get("/definitions/..%2f..%2fsecret"), &[404]),
        bad("a digest that climbs", get("/components/..%5c..%5c"), &[404]),
        bad("an address without end", get(&format!("/instances/{}", "x".repeat(20_000))), &[404, 414]),
        bad("an event that there is not", get("/events?after=99999999999"), &[400]),
    ];
    for query in ["key", "access_token", "api_key", "authorization"] {
        let request =
            format!("GET /api/v1/instances?{query}=sck_x HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
        bads.push(bad("a key in the address", request.into_bytes(), &[401]));
    }
    bads
}

fn heads(client: &Client) -> Vec<Bad> {
    let with = |more: &str| client.head("GET", "/instances", more).into_bytes();
    let raw = |text: &str| text.as_bytes().to_vec();
    let many: String = (0..5_000).map(|number| format!("x-{number}: 1\r\n")).collect();
    vec![
        bad("a long head", with(&format!("x-long: {}\r\n", "x".repeat(100_000))), &[431, 0]),
        bad("heads without end", with(&many), &[431, 0]),
        bad("two keys", with("authorization: Bearer sck_other\r\n"), &[401]),
        bad(
            "a key of bytes",
            raw("GET /api/v1/instances HTTP/1.1\r\nhost: a\r\nauthorization: \u{ff}\r\nconnection: close\r\n\r\n"),
            &[401],
        ),
        bad(
            "two lengths",
            raw("POST /api/v1/instances HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello"),
            &[400],
        ),
        bad(
            "a length below zero",
            raw("POST /api/v1/instances HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n"),
            &[400],
        ),
        bad("no HTTP", raw("\u{16}\u{3}\u{1}\0\u{5}hello\r\n\r\n"), &[400]),
        bad(
            "a method that there is not",
            raw("EAT /api/v1/instances HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
            &[405],
        ),
        bad("a place that there is not", client.head("GET", "/events", "last-event-id: 1.-1\r\n").into_bytes(), &[400]),
    ]
}

/// Zeros, as gzip packs them best: after the first one, what came last is repeated for 258 bytes again and again.
fn gzip_bomb() -> Vec<u8> {
    // A last block with fixed codes; a zero; then copies, each with the code of their length and of their distance.
    let begin = [1, 1, 0].into_iter().chain([0, 0, 1, 1, 0, 0, 0, 0]);
    let copy = [1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0];
    let copies = (BOMB_MIB << 20) / 258;
    let bits: Vec<u8> = begin.chain(std::iter::repeat_n(copy, copies).flatten()).chain([0; 7]).collect();
    let packed = bits.chunks(8).map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit));
    [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3].into_iter().chain(packed).chain([0; 8]).collect()
}
