//go:build !cgo

package main

import "time"

func callbackOneThread(int) figures { return needsCgo() }

func callbackManyThreads(int) figures { return needsCgo() }

func sleepInC(time.Duration) { needsCgo() }

func needsCgo() figures {
	fail("this build has no cgo")
	return nil
}
