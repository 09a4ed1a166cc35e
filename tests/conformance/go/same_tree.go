// Two trees of different shape walked side by side, and one walk given up half way.
package main

import (
	"fmt"
	"runtime"
)

type tree struct {
	left, right *tree
	value       int
}

func insert(t *tree, v int) *tree {
	if t == nil {
		return &tree{value: v}
	}
	if v < t.value {
		t.left = insert(t.left, v)
	} else {
		t.right = insert(t.right, v)
	}
	return t
}

func build(values ...int) (t *tree) {
	for _, v := range values {
		t = insert(t, v)
	}
	return t
}

func walk(t *tree, out chan<- int, quit <-chan bool) bool {
	if t == nil {
		return true
	}
	if !walk(t.left, out, quit) {
		return false
	}
	select {
	case out <- t.value:
	case <-quit:
		return false
	}
	return walk(t.right, out, quit)
}

func walker(t *tree, out chan<- int, quit <-chan bool) {
	defer close(out)
	walk(t, out, quit)
}

func same(a, b *tree) bool {
	ca, cb, quit := make(chan int), make(chan int), make(chan bool)
	defer close(quit)
	go walker(a, ca, quit)
	go walker(b, cb, quit)
	for {
		va, oka := <-ca
		vb, okb := <-cb
		if oka != okb || va != vb {
			return false
		}
		if !oka {
			return true
		}
	}
}

func main() {
	fmt.Println(same(build(3, 1, 8, 2, 5), build(1, 2, 3, 5, 8)))
	fmt.Println(same(build(3, 1, 8, 2, 5), build(1, 2, 4, 5, 8)))
	fmt.Println(same(build(1, 2), build(1, 2, 3)))
	fmt.Println(same(nil, nil))
	for range 10 {
		runtime.Gosched()
	}
	fmt.Println("left", runtime.NumGoroutine())
}
