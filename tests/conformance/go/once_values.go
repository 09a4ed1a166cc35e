// OnceFunc and OnceValue: the value is kept, and so is the failure.
package main

import (
	"fmt"
	"sync"
)

func attempt(f func() int) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Println("recovered:", r)
		}
	}()
	fmt.Println("value", f())
}

func main() {
	calls := 0
	f := sync.OnceFunc(func() { calls++ })
	for range 3 {
		f()
	}
	fmt.Println("calls", calls)

	v := sync.OnceValue(func() int {
		calls++
		return calls * 10
	})
	attempt(v)
	attempt(v)

	bad := sync.OnceValue(func() int {
		calls++
		panic(fmt.Sprint("failed in call ", calls))
	})
	attempt(bad)
	attempt(bad)
	fmt.Println("calls", calls)
}
