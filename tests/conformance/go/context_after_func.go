// A function that runs once its context is done, unless it is stopped before.
package main

import (
	"context"
	"fmt"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan string)
	stop := context.AfterFunc(ctx, func() { ran <- fmt.Sprint("ran: ", ctx.Err()) })
	stopped := context.AfterFunc(ctx, func() { fmt.Println("not reached") })
	fmt.Println("stop before", stopped(), "again", stopped())
	cancel()
	fmt.Println(<-ran)
	fmt.Println("stop after", stop())
	context.AfterFunc(ctx, func() { ran <- "at once" })
	fmt.Println(<-ran)

	// It does not hold up the one who cancels.
	other, cancelOther := context.WithCancel(context.Background())
	block := make(chan bool)
	context.AfterFunc(other, func() {
		<-block
		ran <- "unblocked"
	})
	cancelOther()
	fmt.Println("cancelled", other.Err())
	block <- true
	fmt.Println(<-ran)
}
