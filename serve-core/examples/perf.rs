#![allow(missing_docs)]
use serve_core::__private::*;
use serve_core::*;
use std::sync::Arc;
use std::time::Instant;

pub struct Adder(i64);
impl Adder { pub async fn add(&self, x: i64) -> i64 { x + self.0 } }
impl serve_core::Deployment for Adder {
    const NAME: &'static str = "Adder";
    type Handle = AdderHandle;
    type Locality = Anywhere;
    fn options() -> DeploymentOptions { 
        let mut o = DeploymentOptions::default(); o.max_ongoing_requests = std::env::var("MAX").ok().map(|m| m.parse().unwrap()); o }
}
pub struct AdderHandle { inner: Handle<Adder> }
impl Clone for AdderHandle { fn clone(&self) -> Self { Self { inner: self.inner.clone() } } }
impl HandleOf for AdderHandle { type Deployment = Adder; fn connect(l: Link) -> Self { Self { inner: Handle::connect(l) } } }
impl serde::Serialize for AdderHandle { fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> { self.inner.serialize(s) } }
impl serve_core::DeploymentHandle for AdderHandle { fn handle(&self) -> &Handle<Adder> { &self.inner } fn handle_mut(&mut self) -> &mut Handle<Adder> { &mut self.inner } }
enum Add {}
impl Method for Add {
    type Deployment = Adder; type Args = (i64,); type Ok = i64; type Err = std::convert::Infallible; type ErrCodec = NoError;
    const INFO: MethodInfo = MethodInfo { name: "add", doc: "", params: &[], param_names: &["x"], returns: "i64", endpoint: None, streaming: false };
    fn erased() -> &'static dyn AnyMethod { &Erased::<Self, One>::NEW }
}
impl Unary for Add {
    fn run(cell: Shared<Adder>, args: (i64,)) -> impl Future<Output = std::result::Result<i64, serve_core::CallError>> + Send {
        async move { let this = cell.get(); Ok(this.add(args.0).await) }
    }
}
impl Handlers for Adder {
    type Cell = Shared<Self>;
    fn methods() -> Vec<&'static dyn AnyMethod> { vec![Add::erased()] }
}
impl AdderHandle { pub fn add(&self, x: impl serve_core::IntoArg<i64>) -> serve_core::Response<i64> { call::<Add>(&self.inner, (x.into_arg(),)) } }

async fn base(a: &Arc<Adder>, n: usize) -> f64 {
    let t = Instant::now();
    for i in 0..n { let a = a.clone(); tokio::spawn(async move { a.add(i as i64).await }).await.unwrap(); }
    t.elapsed().as_nanos() as f64 / n as f64
}
async fn ours(a: &AdderHandle, n: usize) -> f64 {
    let t = Instant::now();
    for i in 0..n { a.add(i as i64).await.unwrap(); }
    t.elapsed().as_nanos() as f64 / n as f64
}
async fn base_q(a: &Arc<Adder>, n: usize) -> f64 {
    let sem = Arc::new(tokio::sync::Semaphore::new(1));
    let t = Instant::now();
    let mut v = Vec::with_capacity(100);
    for _ in 0..n/100 { for i in 0..100 { let a = a.clone(); let s = sem.clone(); v.push(tokio::spawn(async move { let _p = s.acquire_owned().await.unwrap(); a.add(i).await })); }
      for h in v.drain(..) { h.await.unwrap(); } }
    t.elapsed().as_nanos() as f64 / n as f64
}
async fn ours_q(a: &AdderHandle, n: usize) -> f64 {
    let t = Instant::now();
    let mut v = Vec::with_capacity(100);
    for _ in 0..n/100 { for i in 0..100 { v.push(a.add(i as i64)); } for h in v.drain(..) { h.await.unwrap(); } }
    t.elapsed().as_nanos() as f64 / n as f64
}
fn n1() -> usize { std::env::var("N").map_or(300_000, |n| n.parse().unwrap()) }
fn n2() -> usize { std::env::var("N").map_or(200_000, |_| 0) }
fn main() {
    for multi in (if std::env::var("N").is_ok() {vec![false]} else {vec![false,true]}) {
        let rt = if multi { tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().unwrap() } else { tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap() };
        rt.block_on(async { tokio::spawn(async move {
            let rt = Runtime::builder().start().await.unwrap();
            let h = rt.run(bound::<Adder, _>(vec![], |_| async { Ok(Adder(1)) })).await.unwrap();
            let q = rt.run(Application::new(bound::<Adder, _>(vec![], |_| async { Ok(Adder(1)) }).max_ongoing_requests(1)).name("q").without_route()).await.unwrap();
            let a = Arc::new(Adder(1));
            for _ in 0..4 {
                let (b, o) = (base(&a, n1()).await, ours(&h, n1()).await);
                let (bq, oq) = (base_q(&a, n2()).await, ours_q(&q, n2()).await);
                println!("multi={multi} unary base {b:.0} ours {o:.0} ratio {:.2} | queue base {bq:.0} ours {oq:.0} ratio {:.2}", o/b, oq/bq);
            }
        }).await.unwrap() });
    }
}
