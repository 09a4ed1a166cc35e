// What is refused, and in which words.
package main

import (
	"context"
	"fmt"
)

func attempt(f func()) {
	defer func() { fmt.Println("recovered:", recover()) }()
	f()
}

func main() {
	attempt(func() { context.WithCancel(nil) })
	attempt(func() { context.WithValue(nil, "k", "v") })
	attempt(func() { context.WithValue(context.Background(), nil, "v") })
	attempt(func() { context.WithValue(context.Background(), []int{1}, "v") })
	attempt(func() { context.WithoutCancel(nil) })
}
