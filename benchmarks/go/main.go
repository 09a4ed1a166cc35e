// The workloads of benchmarks/workloads in Go: program WORKLOAD N.
//
// Prints seconds for one operation as JSON: {"row": [wall, cpu]}, with "" for a workload's only
// row. GOMAXPROCS in the environment says how many Ps there are, as for every Go program.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
)

// A sample is wall and CPU seconds, or twice the same value where no clock is involved.
type sample [2]float64

type figures map[string]sample

var workloads = map[string]func(n int) figures{
	"spawn":     spawn,
	"pingpong":  pingpong,
	"buffered":  buffered,
	"giveway":   giveway,
	"ring":      ring,
	"fanin":     fanin,
	"select8":   select8,
	"mutex":     mutex,
	"memory":    memory,
	"sleepers":  sleepers,
	"timers":    timers,
	"pairs":     pairs,
	"cpu":       cpu,
	"stack":     stack,
	"million":   million,
	"blocking":  blocking,
	"tick_c":    tickWhileInC,
	"tick_burn": tickWhileBurning,
	"callback":  callbackOneThread,
	"callbacks": callbackManyThreads,
}

func main() {
	if len(os.Args) != 3 {
		fail("usage: program WORKLOAD N")
	}
	workload, n := workloads[os.Args[1]], 0
	if workload == nil {
		fail("no workload named " + os.Args[1])
	}
	n, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fail(err.Error())
	}
	if err := json.NewEncoder(os.Stdout).Encode(workload(n)); err != nil {
		fail(err.Error())
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}

type stopwatch struct {
	wall time.Time
	cpu  float64
}

func start() stopwatch {
	return stopwatch{time.Now(), cpuTime()}
}

// sample is the time since the start for each of n operations.
func (s stopwatch) sample(n int) sample {
	wall, cpu := time.Since(s.wall).Seconds(), cpuTime()-s.cpu
	return sample{wall / float64(n), cpu / float64(n)}
}

func one(s sample) figures { return figures{"": s} }

func plain(value float64) sample { return sample{value, value} }

// cpuTime is the CPU time of this process in seconds.
func cpuTime() float64 {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		fail(err.Error())
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(use.Utime) + seconds(use.Stime)
}

// rss is the resident memory of this process in bytes, after a garbage collection.
func rss() float64 {
	debug.FreeOSMemory()
	return proc("/proc/self/statm", func(text string) (float64, error) {
		var size, resident float64
		_, err := fmt.Sscan(text, &size, &resident)
		return resident * float64(os.Getpagesize()), err
	})
}

func proc(path string, value func(string) (float64, error)) float64 {
	text, err := os.ReadFile(path)
	if err != nil {
		fail(err.Error())
	}
	number, err := value(string(text))
	if err != nil {
		fail(err.Error())
	}
	return number
}
