// With a limit, Go waits for a place and TryGo does not.
package main

import (
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"
)

func main() {
	var g errgroup.Group
	g.SetLimit(2)
	running, most := 0, 0
	for range 8 {
		g.Go(func() error {
			running++
			most = max(most, running)
			for range 3 {
				runtime.Gosched()
			}
			running--
			return nil
		})
	}
	g.Wait()
	fmt.Println("most at once", most)

	stop := make(chan bool)
	work := func() error {
		<-stop
		return nil
	}
	fmt.Println("try", g.TryGo(work), g.TryGo(work), g.TryGo(work))
	func() {
		defer func() { fmt.Println("recovered:", recover()) }()
		g.SetLimit(3)
	}()
	close(stop)
	g.Wait()
	fmt.Println("try again", g.TryGo(work))
	g.Wait()
	g.SetLimit(0)
	fmt.Println("no place at all", g.TryGo(work))
	g.SetLimit(-1)
	fmt.Println("no limit", g.TryGo(work), g.TryGo(work), g.TryGo(work))
	g.Wait()
}
