package aside

import "golang.org/x/sys/unix"

// niceness is how much lower the priority of a lane is than the process's own: beside a busy thread it gets a tenth of a core,
// and all of one that is idle (sched(7), "The nice value").
const niceness = 10

// lower gives the calling thread a low priority. Linux keeps it by thread, though POSIX says by process (setpriority(2),
// "C library/kernel differences"). No privilege is needed; to take it back, one would be.
func lower() error {
	own, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid()) // 20 less the nice value
	if err != nil {
		return err
	}
	return unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), min(20-own+niceness, lowest))
}

// lowest is the nice value that nothing goes below.
const lowest = 19
