//! A component for `wasi:http/proxy` that says hello: what `wasmtime serve` is measured with.
#![cfg(target_arch = "wasm32")]

use wasip2::{
    exports::http::incoming_handler::Guest,
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
};

struct Hello;

wasip2::http::proxy::export!(Hello);

impl Guest for Hello {
    fn handle(_: IncomingRequest, answer: ResponseOutparam) {
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("it is taken once");
        ResponseOutparam::set(answer, Ok(response));
        let stream = body.write().expect("it is taken once");
        stream.blocking_write_and_flush(b"hello").expect("somebody reads it");
        drop(stream);
        OutgoingBody::finish(body, None).expect("it is whole");
    }
}
