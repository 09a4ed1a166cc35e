// A function of a group that leaves by Goexit is no error, and its place is free.
package main

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"
)

func main() {
	var g errgroup.Group
	g.SetLimit(1)
	g.Go(func() error {
		defer fmt.Println("deferred")
		runtime.Goexit()
		return errors.New("not reached")
	})
	g.Go(func() error {
		fmt.Println("next")
		return nil
	})
	fmt.Println("error:", g.Wait())
}
