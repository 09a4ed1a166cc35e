// A pool gives back what was put in, and makes something new when it has nothing.
package main

import (
	"fmt"
	"sync"
)

func main() {
	made := 0
	pool := sync.Pool{New: func() any {
		made++
		return made
	}}
	a, b := pool.Get(), pool.Get()
	fmt.Println(a, b, "made", made)
	pool.Put(a)
	fmt.Println(pool.Get(), "made", made)
	var empty sync.Pool
	fmt.Println("without New:", empty.Get() == nil)
	empty.Put("x")
	fmt.Println(empty.Get())
}
