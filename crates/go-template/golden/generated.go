package main

import (
	"fmt"
	"hash/fnv"
	"math/rand"
	"reflect"
	"slices"
	"strings"
)

// Functions whose result differs each time, or that we refuse: their properties are tested in Rust.
var unrecorded = map[string]bool{
	"now": true, "ago": true, "env": true, "expandenv": true, "getHostByName": true, "shuffle": true, "uuidv4": true,
	"randAlpha": true, "randAlphaNum": true, "randAscii": true, "randNumeric": true, "randBytes": true, "randInt": true,
	"bcrypt": true, "htpasswd": true, "genPrivateKey": true, "derivePassword": true, "buildCustomCert": true,
	"genCA": true, "genCAWithKey": true, "genSelfSignedCert": true, "genSelfSignedCertWithKey": true,
	"genSignedCert": true, "genSignedCertWithKey": true, "encryptAES": true, "decryptAES": true,
}

// Dates of anything that is no time are now.
var onlyTimes = []string{"date", "dateInZone", "date_in_zone", "htmlDate", "htmlDateInZone"}

var texts = []string{
	`""`, `"abc"`, `"Hello World foo-bar"`, `"äöü Ñandú"`, `"a,b,,c"`, `"  spaces  "`, `"42"`, `"-7"`, `"0x1F"`,
	`"3.75"`, `","`, `"a"`, `"日本語テキスト"`, `"line1\nline2\n"`, `"FooBar2Baz HTTPServer"`, `"<b>&\"quoted\"</b>"`,
	`"\xff\xfe"`, `"tRuE"`, `"/a/b/../c.tar.gz"`, `"snake_case-kebab"`,
}

var pools = map[string][]string{
	"regex": {`"a+"`, `"[a-z]+"`, `"(\\w+)\\s(\\w+)"`, `"^$"`, `"("`, `"\\d{2,}"`, `""`, `"[^,]*"`, `"(?i)HELLO"`, `"é|ö"`,
		`"."`, `"[[:upper:]]"`, `"\\bfoo\\b"`, `"x{,2}"`, `"\\Qa.b\\E"`, `"a**"`, `"[a&&b]"`, `"\\pL"`, `"(?P<x>b)"`},
	"repl":    {`"X"`, `"$1"`, `"${1}_"`, `"$2 $1"`, `"$$"`, `""`, `"$x"`, `"$1x"`},
	"version": {`"1.2.3"`, `"v1.2"`, `"1"`, `"1.2.3-alpha.1+b"`, `"x"`, `"01.2.3"`, `"1.2.3-01"`, `""`, `"2.0.0-rc.1"`, `"0.3.1"`, `"0.0.4"`},
	"constraint": {`">=1.2.3"`, `"^1.2"`, `"~1.2.3"`, `"~1"`, `"1.x"`, `"*"`, `">1.0, <2.0"`, `"1.0 - 2.0"`, `"!=1.2"`, `"<1 || >=2.0.0-0"`,
		`">1"`, `"=<1.2"`, `"^0.3"`, `"^0.0.4"`, `"bad"`, `"1.2.3"`, `">=1.2.3-0"`, `""`, `"!=1.2.x"`, `">1.1"`, `"^0"`},
	"layout":   {`"2006-01-02"`, `"Mon Jan _2 15:04:05.000 MST 2006"`, `"Monday, January 2 2006 3:04:05PM -0700"`, `"06/1/2 03:4:5 pm Z07:00"`, `"__2 002 15h"`, `"2006-01-02T15:04:05.999999999Z07:00"`, `"_2006 Janet"`, `"-07 -07:00:00 Z0700"`},
	"zone":     {`"UTC"`, `"Europe/Berlin"`, `"America/New_York"`, `"Asia/Kolkata"`, `"nowhere"`, `""`, `"europe/berlin"`},
	"date":     {`"2024-02-29"`, `"2023-02-29"`, `"2024-12-31T23:59:59.123Z"`, `"Thu Feb  1 03:04:05.678 UTC 2024"`, `"Friday, March 1 2024 1:02:03PM +0530"`, `"24/3/9 11:5:7 pm Z"`, `"x"`, `"060 060 10h"`, `"2024-01-02"`},
	"duration": {`"1h30m"`, `"-90s"`, `"1.5h"`, `"2d"`, `"300ms"`, `"0"`, `"1us"`, `""`},
	"base64":   {`"YWJj"`, `"YWI="`, `"YQ=="`, `"YQ="`, `"YQ"`, `"Y=Q="`, `"YQ==x"`, `"YW\nJj"`, `"äö"`, `""`, `"Y"`, `"YQ=\n="`, `"YQ=x"`},
	"base32":   {`"MFRGG==="`, `"ME======"`, `"MFRGGZA="`, `"MFRGG"`, `"mfrgg==="`, `""`, `"MFRGGZDF"`, `"M======="`, `"MFRGG=x="`, `"MFR\nGG==="`},
	"json":     {`"{\"a\":1,\"b\":[true,null,\"x\"]}"`, `"[1,2.5,1e3]"`, `"\"t\""`, `"{"`, `""`, `"null"`, `"{\"a\":{\"z\":\"<&>\"}}"`, `"1 2"`, `"12345678901234567890"`},
	"url":      {`"http://user:p%40ss@host.example:8080/a%20b/c?q=1&r=2#frag"`, `"mailto:a@b"`, `"//h/p"`, `"/just/path"`, `"http://[::1]:80/"`, `"%zz"`, `"a:b:c"`, `""`, `"https://host"`, `"http://h:x/"`, `"1:2"`, `"http://a b/"`, `"?q"`, `"http://h/?"`},
	"urlmap":   {`(urlParse "http://u:p@h:1/p?q#f")`, `(dict "scheme" "https" "host" "h" "path" "p")`, `(dict "host" 1)`, `(dict)`, `(dict "scheme" "x" "opaque" "y")`, `(dict "path" "a b" "query" "q=ä" "fragment" "ü")`, `(dict "scheme" "http" "host" "h" "userinfo" "u:p w")`},
	"kind":     {`"int"`, `"string"`, `"slice"`, `"map"`, `"[]interface {}"`, `"float64"`, `"map[string]interface {}"`, `"invalid"`, `"bool"`, `"semver.Version"`},
	"key":      {`"a"`, `"b"`, `""`, `"zz"`},
	"any": {`"abc"`, `""`, `1`, `0`, `-3`, `2.5`, `1234567.0`, `1e21`, `true`, `false`, `(list)`, `(list 1 "a" 2.5)`, `(list "b" "a" "" "c" "a")`,
		`(until 3)`, `(splitList "," "b,a,c")`, `(dict)`, `(dict "a" 1 "b" "x")`, `(dict "a" (dict "b" (list 1)))`, `.nothing`, `.list`,
		`.nested`, `.absent`, `(int64 5)`, `"42"`, `"-0x10"`, `"1_000"`, `"010"`, `"3.9"`, `(split "," "a,b")`, `.u`, `(list (list 1) (list))`, `"<&>"`, `.big`, `.words`},
	"list":  {`(list)`, `(list 1 "a" 2.5)`, `(list "b" "a" "" "c" "a")`, `(until 5)`, `(splitList "," "b,a,c")`, `.list`, `.words`, `.none`, `"abc"`, `.nothing`, `(list 0 1 false "" nil)`, `(list (int64 1) 1 1.0)`, `.absent`},
	"dict":  {`(dict)`, `(dict "a" 1 "b" "x")`, `(dict "a" (dict "b" (list 1)) "c" nil)`, `.nested`, `.void`, `(split "," "a,b")`, `.nothing`, `.absent`, `"x"`, `(dict "a" "" "b" 0 "d" (list))`},
	"int":   {`-1`, `0`, `1`, `2`, `3`, `4`, `7`, `10`, `-4`},
	"float": {`0.5`, `1`, `0.4`},
	"bool":  {`true`, `false`, `.yes`, `.no`, `"x"`, `.nothing`},
	"time":  {`(toDate "2006-01-02" "2024-02-29")`, `(toDate "2006-01-02T15:04:05Z07:00" "2024-07-01T12:34:56+02:00")`, `(toDate "x" "y")`, `"x"`, `.nothing`},
	"when":  {`(toDate "2006-01-02" "2024-02-29")`, `1719830096`, `(int64 0)`, `-1`, `(toDate "2006-01-02T15:04:05.999Z07:00" "2024-07-01T00:04:56.789+05:30")`, `(toDate "Jan 2 2006 MST" "Mar 3 2024 CET")`},
}

// Pools by function and parameter; others go by type.
var special = map[string][]string{
	"semver": {"version"}, "semverCompare": {"constraint", "version"},
	"date": {"layout", "when"}, "dateInZone": {"layout", "when", "zone"}, "date_in_zone": {"layout", "when", "zone"},
	"htmlDate": {"when"}, "htmlDateInZone": {"when", "zone"}, "toDate": {"layout", "date"}, "mustToDate": {"layout", "date"},
	"dateModify": {"duration", "time"}, "date_modify": {"duration", "time"}, "mustDateModify": {"duration", "time"},
	"must_date_modify": {"duration", "time"}, "unixEpoch": {"time"}, "b64dec": {"base64"}, "b32dec": {"base32"},
	"fromJson": {"json"}, "mustFromJson": {"json"}, "urlParse": {"url"}, "urlJoin": {"urlmap"},
	"kindIs": {"kind", "any"}, "typeIs": {"kind", "any"}, "typeIsLike": {"kind", "any"},
	"regexMatch": {"regex", "text"}, "regexFind": {"regex", "text"}, "regexQuoteMeta": {"regex"},
}

var numeric = []string{"int", "int64", "float64", "add", "add1", "sub", "mul", "div", "mod", "max", "min", "biggest", "maxf", "minf", "floor", "ceil", "round", "add1f", "addf", "subf", "mulf", "divf", "toDecimal"}

func pool(name string, i int, t reflect.Type) []string {
	lower := strings.ToLower(name)
	if named, ok := special[name]; ok && i < len(named) {
		if named[i] == "text" {
			return texts
		}
		return pools[named[i]]
	}
	if strings.Contains(lower, "regex") && t.Kind() == reflect.String {
		if i == 0 {
			return pools["regex"]
		}
		if i == 2 {
			return pools["repl"]
		}
	}
	switch {
	case t.Kind() == reflect.String:
		if slices.Contains([]string{"get", "set", "unset", "hasKey", "pluck", "pick", "omit"}, name) {
			return pools["key"]
		}
		return texts
	case t.Kind() == reflect.Int:
		return pools["int"]
	case t.Kind() == reflect.Float64:
		return pools["float"]
	case t.Kind() == reflect.Bool:
		return pools["bool"]
	case t.Kind() == reflect.Map:
		return pools["dict"]
	case t.String() == "time.Time":
		return pools["time"]
	case slices.Contains(numeric, name):
		return append([]string{`0.1`, `0.2`, `"1e3"`, `-2.5`, `3`, `10`, `"x"`, `9223372036854775807`, `1e300`}, pools["any"]...)
	}
	for _, word := range []string{"first", "last", "rest", "initial", "push", "append", "prepend", "uniq", "compact", "reverse", "chunk", "slice", "without", "concat", "sortalpha", "has"} {
		if strings.HasSuffix(lower, word) && (i == 0 || lower == "concat" || strings.HasSuffix(lower, "chunk")) {
			if !strings.HasSuffix(lower, "has") {
				return pools["list"]
			}
		}
		if strings.HasSuffix(lower, "has") && i == 1 {
			return pools["list"]
		}
		if strings.HasSuffix(lower, "slice") && i > 0 {
			return []string{`0`, `1`, `2`, `5`, `-1`, `"1"`, `1.9`}
		}
	}
	return pools["any"]
}

// generated calls every function with arguments of its types, always the same ones.
func generated() []Case {
	cases := []Case{}
	for _, flavour := range []string{"sprig", "slim"} {
		count := map[string]int{"sprig": 26, "slim": 4}[flavour]
		funcs := functions(flavour)
		for _, name := range names(flavour) {
			if unrecorded[name] {
				continue
			}
			hash := fnv.New64a()
			hash.Write([]byte(flavour + name))
			random := rand.New(rand.NewSource(int64(hash.Sum64())))
			t := reflect.TypeOf(funcs[name])
			seen := map[string]bool{}
			limit := count
			if t.NumIn() <= 1 && !t.IsVariadic() {
				limit = count + 12
			}
			for try := 0; try < 400 && len(seen) < limit; try++ {
				expression := call(random, name, t)
				if seen[expression] {
					continue
				}
				seen[expression] = true
				cases = append(cases, Case{Topic: name, Flavour: flavour, Context: "mixed", Template: expression})
			}
			first := fmt.Sprintf("{{ %s | printf \"%%T %%v\" }}", strings.Trim(call(random, name, t), "{} "))
			if !strings.Contains(first, "keys") && !strings.Contains(first, "values") {
				cases = append(cases, Case{Topic: name, Flavour: flavour, Context: "mixed", Template: first})
			}
		}
	}
	return cases
}

func call(random *rand.Rand, name string, t reflect.Type) string {
	pick := func(i int, t reflect.Type) string {
		all := pool(name, i, t)
		return all[random.Intn(len(all))]
	}
	arguments := []string{}
	fixed := t.NumIn()
	if t.IsVariadic() {
		fixed--
	}
	for i := 0; i < fixed; i++ {
		arguments = append(arguments, pick(i, t.In(i)))
	}
	if t.IsVariadic() {
		for i := random.Intn(4); i > 0; i-- {
			arguments = append(arguments, pick(len(arguments), t.In(t.NumIn()-1).Elem()))
		}
	}
	text := strings.Join(append([]string{name}, arguments...), " ")
	switch name {
	case "keys":
		text += " | sortAlpha"
	case "values":
		text = "values " + []string{`(dict "a" 1)`, `(dict)`, `.void`, `.nothing`, `"x"`}[random.Intn(5)]
	}
	// Now and then the last argument comes through a pipe.
	if n := len(arguments); n > 0 && name != "keys" && name != "values" && random.Intn(4) == 0 {
		text = strings.Join(append([]string{arguments[n-1], "|", name}, arguments[:n-1]...), " ")
	}
	if random.Intn(3) == 0 && name != "keys" && name != "values" {
		return "{{ (" + text + ") | toJson }}"
	}
	return "{{ " + text + " }}"
}
