// Command golden records what Go makes of templates.
//
// Without flags it writes the fixture of tests/golden.rs:
//
//	go run . > golden.json
//
// With -dir it renders every case file of a directory and prints the results in the order of names.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"text/template"
	"unicode/utf8"

	"encoding/hex"

	"github.com/Masterminds/sprig/v3"
	slim "github.com/go-task/slim-sprig/v3"
)

// Case is a template and what became of it.
type Case struct {
	// Topic is the function or the part of the language it is about.
	Topic    string `json:"topic,omitempty"`
	Template string `json:"template"`
	// Flavour is sprig, strict or slim.
	Flavour string `json:"flavour"`
	// Missing replaces the flavour's own missingkey option.
	Missing string `json:"missing,omitempty"`
	// Context is the name of a shared context, or data of its own.
	Context string          `json:"context,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
	// Output, or Hex where it is no UTF-8, or Error and Line.
	Output *string `json:"output,omitempty"`
	Hex    string  `json:"hex,omitempty"`
	Error  string  `json:"error,omitempty"`
	Line   int     `json:"line,omitempty"`
}

// File is the fixture.
type File struct {
	Comment   string                     `json:"comment"`
	Functions map[string][]string        `json:"functions"`
	Contexts  map[string]json.RawMessage `json:"contexts"`
	Cases     []Case                     `json:"cases"`
}

var errorLine = regexp.MustCompile(`^template: [^:]*:(\d+):`)

func functions(flavour string) template.FuncMap {
	if flavour == "slim" {
		return slim.TxtFuncMap()
	}
	return sprig.TxtFuncMap()
}

func (c *Case) run(contexts map[string]json.RawMessage) {
	c.Output, c.Hex, c.Error, c.Line = nil, "", "", 0
	raw := c.Data
	if c.Context != "" {
		raw = contexts[c.Context]
	}
	missing := c.Missing
	if missing == "" {
		missing = map[string]string{"strict": "error"}[c.Flavour]
	}
	if missing == "" {
		missing = "default"
	}
	t, err := template.New("t").Option("missingkey=" + missing).Funcs(functions(c.Flavour)).Parse(c.Template)
	if err != nil {
		c.fail("parse", err)
		return
	}
	var out strings.Builder
	if err := execute(t, &out, value(raw)); err != nil {
		c.fail("execute", err)
		return
	}
	text := out.String()
	if utf8.ValidString(text) {
		c.Output = &text
	} else {
		c.Hex = hex.EncodeToString([]byte(text))
	}
}

// execute turns a panic outside of functions into an error.
func execute(t *template.Template, out *strings.Builder, data any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("template: t:0: panic: %v", r)
		}
	}()
	return t.Execute(out, data)
}

func (c *Case) fail(kind string, err error) {
	c.Error = kind
	if m := errorLine.FindStringSubmatch(err.Error()); m != nil {
		c.Line, _ = strconv.Atoi(m[1])
	}
}

func main() {
	dir := flag.String("dir", "", "directory of case files to render instead")
	flag.Parse()
	os.Setenv("TZ", "UTC")
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	if *dir != "" {
		check(encoder.Encode(renderDir(*dir)))
		return
	}
	file := File{
		Comment:   "Written by golden/main.go; do not edit.",
		Functions: map[string][]string{"sprig": names("sprig"), "slim": names("slim")},
		Contexts:  contexts,
		Cases:     allCases(),
	}
	for i := range file.Cases {
		file.Cases[i].run(contexts)
	}
	write(file)
}

// write puts each case on a line of its own.
func write(file File) {
	cases := file.Cases
	file.Cases = nil
	head := encode(file)
	fmt.Print(strings.TrimSuffix(head, `"cases":null}`), "\"cases\":[\n")
	for i, c := range cases {
		end := ",\n"
		if i == len(cases)-1 {
			end = "\n]}\n"
		}
		fmt.Print(encode(c), end)
	}
}

func encode(v any) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	check(encoder.Encode(v))
	return strings.TrimSuffix(out.String(), "\n")
}

func names(flavour string) []string {
	all := []string{}
	for name := range functions(flavour) {
		all = append(all, name)
	}
	sort.Strings(all)
	return all
}

func renderDir(dir string) []Case {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	check(err)
	sort.Strings(paths)
	results := []Case{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		check(err)
		var c Case
		check(json.Unmarshal(text, &c))
		c.run(contexts)
		results = append(results, Case{Output: c.Output, Hex: c.Hex, Error: c.Error, Line: c.Line, Flavour: c.Flavour})
	}
	return results
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
