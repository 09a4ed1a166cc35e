// The cause tells why; children inherit it unless they have ended before for a reason of their own.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

func show(what string, ctx context.Context) {
	fmt.Println(what, "err:", ctx.Err(), "cause:", context.Cause(ctx))
}

func main() {
	why := errors.New("the disk is full")
	parent, stop := context.WithCancelCause(context.Background())
	show("before", parent)
	early, stopEarly := context.WithCancelCause(parent)
	child, cancelChild := context.WithCancel(parent)
	defer cancelChild()
	stopEarly(errors.New("early"))
	stop(why)
	stop(errors.New("too late"))
	show("parent", parent)
	show("early", early)
	show("child", child)
	fmt.Println(context.Cause(child) == why, errors.Is(child.Err(), context.Canceled))

	plain, cancel := context.WithCancelCause(context.Background())
	cancel(nil)
	show("without a cause", plain)

	short, done := context.WithTimeoutCause(context.Background(), time.Millisecond, errors.New("too slow"))
	defer done()
	<-short.Done()
	show("timeout", short)
	under, stopUnder := context.WithCancelCause(short)
	stopUnder(errors.New("nobody sees this"))
	show("below it", under)

	timely, finish := context.WithTimeoutCause(context.Background(), time.Hour, errors.New("too slow"))
	finish()
	show("finished in time", timely)
	show("without cancel", context.WithoutCancel(parent))
	show("background", context.Background())
}
