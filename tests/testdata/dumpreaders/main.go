// Reads a dump as the readers of Go's dumps do, and prints what each has got: a line for each
// goroutine with its number, how many frames, and the first function; a line for each error.
// tests/conformance/traceback/test_readers.py puts the readers' sources beside it.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	goleak "readers/goleak"
	"readers/gostackparse"
	panicparse "readers/panicparse"
)

func deep(n int) {
	if n > 0 {
		deep(n - 1)
		return
	}
	select {}
}

// A dump of Go's own, with a goroutine of 150 frames.
func own() {
	go deep(150)
	time.Sleep(10 * time.Millisecond)
	dump := make([]byte, 1<<20)
	os.Stdout.Write(dump[:runtime.Stack(dump, true)])
}

func main() {
	if len(os.Args) > 1 {
		own()
		return
	}
	dump, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	gs, errs := gostackparse.Parse(bytes.NewReader(dump))
	for _, g := range gs {
		first := ""
		if len(g.Stack) > 0 {
			first = g.Stack[0].Func
		}
		fmt.Printf("gostackparse\t%d\t%d\t%s\n", g.ID, len(g.Stack), first)
	}
	for _, err := range errs {
		fmt.Printf("gostackparse\terror\t%v\n", err)
	}
	stacks, err := goleak.Parse(bytes.NewReader(dump))
	for _, s := range stacks {
		fmt.Printf("goleak\t%d\t-1\t%s\n", s.ID(), s.FirstFunction())
	}
	if err != nil {
		fmt.Printf("goleak\terror\t%q\n", err)
	}
	rest := io.Reader(bytes.NewReader(dump))
	for {
		snapshot, suffix, err := panicparse.ScanSnapshot(rest, io.Discard, panicparse.DefaultOpts())
		if snapshot != nil {
			for _, g := range snapshot.Goroutines {
				first := ""
				if len(g.Stack.Calls) > 0 {
					first = g.Stack.Calls[0].Func.Complete
				}
				fmt.Printf("panicparse\t%d\t%d\t%s\n", g.ID, len(g.Stack.Calls), first)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Printf("panicparse\terror\t%q\n", err)
			break
		}
		rest = io.MultiReader(bytes.NewReader(suffix), rest)
	}
}
