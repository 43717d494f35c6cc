(* What OCaml programs are made of. Prints what comes of it. *)
module M = Map.Make (String)

let rec fib n = if n < 2 then n else fib (n - 1) + fib (n - 2)

let () =
  let map = List.fold_left (fun m i -> M.add (string_of_int (i * 7919 mod 20011)) i m) M.empty (List.init 20000 Fun.id) in
  Printf.printf "%d %d %s\n" (M.cardinal map) (M.find "42" map) (fst (M.min_binding map));
  let table = Hashtbl.create 16 in
  let state = ref 1 in
  for _ = 1 to 100000 do
    state := ((!state * 1103515245) + 12345) mod 0x80000000;
    Hashtbl.replace table (!state mod 1000) (Bytes.make (!state mod 3000) 'x')
  done;
  Printf.printf "%d %d\n" (Hashtbl.length table) (Hashtbl.fold (fun _ b sum -> sum + Bytes.length b) table 0);
  let buffer = Buffer.create 10 in
  for i = 0 to 50000 do Buffer.add_string buffer (string_of_int i) done;
  print_endline (Digest.to_hex (Digest.string (Buffer.contents buffer)));
  let sorted = Array.init 100000 (fun i -> i * 7919 mod 100003) in
  Array.sort compare sorted;
  Printf.printf "%d %d\n" sorted.(777) (fib 22);
  let copy : int M.t = Marshal.from_string (Marshal.to_string map []) 0 in
  Printf.printf "%b\n" (M.equal ( = ) map copy);
  Gc.compact ();
  try ignore (Bytes.create max_int) with Invalid_argument text -> print_endline text
