// SPDX-License-Identifier: Apache-2.0
// clients.go net BASE NAME: net/http with its default transport
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

func call(client *http.Client, method, url string, body io.Reader, limit time.Duration) error {
	context, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	request, err := http.NewRequestWithContext(context, method, url, body)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

func main() {
	base, name := os.Args[2], os.Args[3]
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	kinds := []string{"ok", "big", "chunked", "gzip", "redirect", "nocontent", "notmodified", "missing", "fail", "endless", "hints", "cut",
		"reset", "hangup", "slow", "ok"}
	try := func(method, path string, body io.Reader) {
		limit := 20 * time.Second
		if strings.Contains(path, "/slow/") {
			limit = 400 * time.Millisecond
		}
		if err := call(client, method, base+path, body, limit); err != nil {
			fmt.Println(path, err)
		}
	}
	for i, kind := range kinds {
		try("GET", fmt.Sprintf("/%s/%s-%d", kind, name, i), nil)
	}
	try("HEAD", "/big/"+name+"-head", nil)
	try("POST", "/ok/"+name+"-small", bytes.NewReader(make([]byte, 1000)))
	try("POST", "/ok/"+name+"-large", bytes.NewReader(make([]byte, 2000000)))
	try("POST", "/ok/"+name+"-parts", io.MultiReader(strings.NewReader("one"), bytes.NewReader(make([]byte, 100000))))
	try("PUT", "/fail/"+name+"-put", bytes.NewReader(make([]byte, 20000)))
	try("DELETE", "/nocontent/"+name+"-delete", nil)
}
