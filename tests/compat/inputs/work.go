package main

/*
#include <stdlib.h>
*/
import "C"

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"sort"
	"sync"
)

// What Go programs are made of. Prints what comes of it.
func main() {
	var group sync.WaitGroup
	sums := make([]int, 100)
	for i := range sums {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			live := map[int][]byte{}
			for n, state := 0, i; n < 5000; n++ {
				state = (state*1103515245 + 12345) % (1 << 31)
				live[state%100] = make([]byte, state%3000)
				if n%10 == 0 {
					block := C.malloc(C.size_t(state % 5000))
					C.free(block)
				}
			}
			for _, data := range live {
				sums[i] += len(data)
			}
		}(i)
	}
	group.Wait()
	sort.Ints(sums)
	fmt.Println(sums[:3], len(sums))
	text, _ := json.Marshal(sums)
	var packed bytes.Buffer
	out := gzip.NewWriter(&packed)
	out.Write(text)
	out.Close()
	in, _ := gzip.NewReader(&packed)
	back, _ := io.ReadAll(in)
	fmt.Printf("%x\n", sha256.Sum256(back))
	said, err := exec.Command("sh", "-c", "seq 1000 | tail -n 1; exit 3").Output()
	fmt.Printf("%s%v\n", said, err)
}
