//! Snapshots of the code that each macro generates, which make a change of the output visible.
//!
//! `INSTA_UPDATE=always cargo test -p serve-macros` updates the snapshots after a change.

use proc_macro2::TokenStream;
use quote::quote;

fn shown(tokens: TokenStream) -> String {
    let file = syn::parse2(tokens).expect("a macro's output is Rust");
    prettyplease::unparse(&file)
}

macro_rules! snapshot {
    ($name:ident, $expanded:expr) => {
        #[test]
        fn $name() {
            insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(stringify!($name), shown($expanded));
            });
        }
    };
}

fn handle(item: &TokenStream) -> TokenStream {
    crate::handle::expand(TokenStream::new(), item)
}

snapshot!(
    deployment,
    crate::deployment::expand(
        quote! { name = "adder", num_replicas = 2, request_timeout = "1500ms", local },
        &quote! {
            /// Adds.
            #[cfg(unix)]
            pub struct Adder {
                offset: u64,
            }
        },
    )
);

snapshot!(
    deployment_of_resources,
    crate::deployment::expand(
        quote! {
            autoscaling(min_replicas = 0, max_replicas = 8, upscale_delay = "5s", aggregation = max),
            num_gpus = 0.5, memory = "2GiB", resources(npu = 1), request_router = routers::Mine
        },
        &quote! {
            struct Adder;
        },
    )
);

snapshot!(
    handle_unary,
    handle(&quote! {
        impl Adder {
            pub fn new(offset: u64) -> Self {
                Self { offset }
            }

            /// The sum.
            #[cfg(unix)]
            #[must_use]
            pub async fn add(&self, a: u64, others: Vec<Self>) -> u64 {}

            fn private(&self) {}
        }
    })
);

snapshot!(
    handle_fallible,
    handle(&quote! {
        impl Adder {
            pub async fn new() -> Result<Self> {}
            pub async fn add(&self, a: u64) -> Result<u64, Overflow> {}
        }
    })
);

snapshot!(
    handle_stream,
    handle(&quote! {
        impl Adder {
            pub async fn count(&self, to: u64) -> Result<impl Stream<Item = Result<u64>>, Overflow> {}
        }
    })
);

snapshot!(
    handle_websocket,
    handle(&quote! {
        impl Chat {
            /// Talks in a room.
            #[websocket("/rooms/{room}")]
            async fn talk(
                &self,
                room: String,
                mut socket: WebSocket<Said, Heard>,
                since: Option<u64>,
            ) -> Result<(), WebSocketError> {}

            #[cfg(unix)]
            #[websocket("/echo")]
            async fn echo(&self, socket: WebSocket<String>) {}
        }
    })
);

snapshot!(
    handle_blocking,
    handle(&quote! {
        impl Adder {
            #[blocking]
            pub fn crunch(&self, numbers: Vec<u64>) -> u64 {}
        }
    })
);

snapshot!(
    handle_blocking_stream,
    handle(&quote! {
        impl Adder {
            #[blocking]
            pub fn count(&self, to: u64) -> impl Iterator<Item = u64> {}

            #[blocking]
            pub fn tokens(&mut self, prompt: String) -> Result<impl Iterator<Item = Result<u32>> + '_> {}
        }
    })
);

snapshot!(
    handle_blocking_constructor,
    handle(&quote! {
        impl Adder {
            #[blocking]
            pub fn new(path: String) -> Result<Self> {}
        }
    })
);

snapshot!(
    handle_mutable,
    handle(&quote! {
        impl Adder {
            #[cfg(unix)]
            pub async fn reset(&mut self) {}

            #[shutdown]
            async fn close(&self) {}
        }
    })
);

snapshot!(
    handle_hooks,
    handle(&quote! {
        impl Adder {
            #[reconfigure]
            async fn reconfigure(&self, settings: Settings) -> Result<()> {}

            #[check_health]
            fn healthy(&self) -> Result<(), Sick> {}

            #[shutdown]
            pub async fn close(&mut self) {}
        }
    })
);

snapshot!(
    handle_retry,
    handle(&quote! {
        impl Adder {
            #[retry(max = 3)]
            pub async fn add(&self, a: u64, b: u64) -> u64 {}
        }
    })
);

snapshot!(
    handle_batch,
    handle(&quote! {
        impl Embedder {
            #[batch(max_batch_size = 32, batch_wait_timeout = "0ms")]
            pub async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vector>, Failed> {}
        }
    })
);

snapshot!(
    handle_endpoint,
    handle(&quote! {
        impl Adder {
            #[post("/add/{a}", max_body = "1KiB")]
            pub async fn add(&self, a: u64, b: u64) -> Result<u64> {}

            #[routes]
            pub fn routes(self: Arc<Self>) -> axum::Router {}
        }
    })
);

snapshot!(
    application,
    crate::application::expand(
        TokenStream::new(),
        &quote! {
            /// Sums.
            pub fn sums(arguments: Arguments) -> Result<Application<Adder>> {}
        },
    )
);

snapshot!(
    task,
    crate::task::expand(
        TokenStream::new(),
        &quote! {
            async fn say_hi(name: String) -> Result<String> {}
        },
    )
);
