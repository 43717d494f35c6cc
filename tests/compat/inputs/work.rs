// What Rust programs are made of. Prints what comes of it.
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{mpsc, Arc, Mutex};
use std::thread;

fn churn(mut state: u64) -> usize {
    let mut live: HashMap<u64, (String, Vec<u8>)> = HashMap::new();
    for _ in 0..20000 {
        state = (state * 1103515245 + 12345) % (1 << 31);
        live.insert(state % 1000, (state.to_string().repeat((state % 30) as usize), vec![0; (state % 3000) as usize]));
    }
    live.values().map(|(text, data)| text.len() + data.len()).sum()
}

#[repr(align(128))]
struct Aligned([u8; 200]);

fn main() {
    let (sender, receiver) = mpsc::channel();
    let total = Arc::new(Mutex::new(0));
    let threads: Vec<_> = (0..8)
        .map(|i| {
            let (sender, total) = (sender.clone(), Arc::clone(&total));
            thread::spawn(move || {
                for j in 0..5 {
                    *total.lock().unwrap() += churn(i * 5 + j);
                    sender.send(vec![i as u8; 10000]).unwrap();
                }
            })
        })
        .collect();
    drop(sender);
    println!("{}", receiver.iter().map(|v| v.len()).sum::<usize>());
    for t in threads {
        t.join().unwrap();
    }
    println!("{}", total.lock().unwrap());

    let text: String = (0..30000).map(|i| format!("word{} ", i * 7919 % 211)).collect();
    let counts = words::count(&text);
    println!("{} {:?}", counts.len(), counts.iter().next());
    let mut tree = BTreeMap::new();
    for i in 0..100000u64 {
        tree.insert(i * 7919 % 100003, Box::new(i));
    }
    tree.retain(|k, _| k % 3 == 0);
    println!("{} {:?}", tree.len(), tree.iter().nth(777));
    let aligned: Vec<Box<Aligned>> = (0..1000).map(|i| Box::new(Aligned([i as u8; 200]))).collect();
    println!("{}", aligned.iter().filter(|a| &***a as *const Aligned as usize % 128 == 0 && a.0[199] == a.0[0]).count());

    let mut child = Command::new("sort").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"b\na\n").unwrap();
    print!("{}", String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap());
    println!("{:?}", std::panic::catch_unwind(|| vec![1, 2, 3][text.len()]).is_err());
    println!("{:?}", Vec::<u8>::new().try_reserve(usize::MAX / 4).is_err());
}
