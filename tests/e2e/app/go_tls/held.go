// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// Serves without changing threads, one connection after the other.
func oneThread(address string) {
	runtime.LockOSThread()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	for {
		c, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		if request, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			w := httptest.NewRecorder()
			http.DefaultServeMux.ServeHTTP(w, request)
			answer := w.Result()
			answer.ContentLength, answer.Close = int64(w.Body.Len()), true
			answer.Write(c)
		}
		c.Close()
	}
}

// A dialer whose connections hand over their bytes as a machine under load may: the kernel has sent them and the server
// has answered before the system call that did it ends. Each write is a sendmmsg(2) whose second message waits in a page
// that is missing (userfaultfd(2), so root is needed), until there is an answer; then it fails.
type heldDialer struct{ net.Dialer }

type heldConn struct {
	*net.TCPConn
	uffd uintptr
}

type message struct {
	header syscall.Msghdr
	n      uint32
	_      uint32
}

const (
	sysSendmmsg     = 307
	sysUserfaultfd  = 323
	uffdAPI         = 0xc018aa3f
	uffdRegister    = 0xc020aa00
	uffdUnregister  = 0x8010aa01
	uffdVersion     = 0xaa
	registerMissing = 1
	pollIn          = 1
)

func call(number, a, b, c, d uintptr) uintptr {
	for {
		r, _, errno := syscall.Syscall6(number, a, b, c, d, 0, 0)
		if errno == 0 {
			return r
		}
		if errno != syscall.EINTR { // Go's runtime interrupts what runs long
			panic(errno)
		}
	}
}

func (d heldDialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

func (d heldDialer) DialTimeout(network, address string, _ time.Duration) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

func (d heldDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	h := &heldConn{TCPConn: c.(*net.TCPConn), uffd: call(sysUserfaultfd, 0, 0, 0, 0)}
	api := [3]uint64{uffdVersion}
	call(syscall.SYS_IOCTL, h.uffd, uffdAPI, uintptr(unsafe.Pointer(&api)), 0)
	return h, nil
}

// Until the peer has spoken, or half a second: not everything is answered.
func await(fd uintptr) {
	poll := struct {
		fd              int32
		events, revents int16
	}{int32(fd), pollIn, 0}
	call(syscall.SYS_POLL, uintptr(unsafe.Pointer(&poll)), 1, 500, 0)
	time.Sleep(20 * time.Millisecond) // the server is in its hook yet
}

func (h *heldConn) Write(b []byte) (int, error) {
	raw, err := h.SyscallConn()
	if err != nil || len(b) == 0 {
		return 0, err
	}
	page := call(syscall.SYS_MMAP, 0, 4096, syscall.PROT_READ, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	area := [4]uint64{uint64(page), 4096, registerMissing}
	call(syscall.SYS_IOCTL, h.uffd, uffdRegister, uintptr(unsafe.Pointer(&area)), 0)
	first, second := syscall.Iovec{Base: &b[0], Len: uint64(len(b))}, syscall.Iovec{Len: 1}
	*(*uintptr)(unsafe.Pointer(&second.Base)) = page
	messages := [2]message{{header: syscall.Msghdr{Iov: &first, Iovlen: 1}}, {header: syscall.Msghdr{Iov: &second, Iovlen: 1}}}
	done := make(chan struct{})
	var sent uintptr
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		go func() {
			await(fd)
			call(syscall.SYS_MPROTECT, page, 4096, syscall.PROT_NONE, 0)
			call(syscall.SYS_IOCTL, h.uffd, uffdUnregister, uintptr(unsafe.Pointer(&area)), 0)
			close(done)
		}()
		sent, _, errno = syscall.Syscall6(sysSendmmsg, fd, uintptr(unsafe.Pointer(&messages)), 2, 0, 0, 0)
	})
	<-done
	call(syscall.SYS_MUNMAP, page, 4096, 0, 0)
	if err != nil {
		return 0, err
	}
	if errno != 0 || sent != 1 {
		return 0, errno
	}
	return int(messages[0].n), nil
}
