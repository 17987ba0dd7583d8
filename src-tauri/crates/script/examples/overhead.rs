use std::sync::Arc; use std::time::*; use countersign_script::*; use serde_json::Map;
#[tokio::main]
async fn main(){
  for code in std::fs::read_to_string("/tmp/probe.txt").unwrap().lines() {
    let e = Engine::new(Limits{time:Duration::from_millis(300), ..Limits::default()}, Arc::new(NoFetch));
    let b=Instant::now();
    let r = e.run(code, Map::new(), "k").await;
    let mut s=format!("{:?}",r.map_err(|e|e.to_string())); s.truncate(80);
    println!("{:?} {code} => {s}", b.elapsed());
  }
  std::process::exit(0);
}
