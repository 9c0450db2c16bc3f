package main

import (
	"encoding/json"
	"reflect"
	"strings"
)

// Contexts say what they are: struct, map, texts, text or json.
var contexts = map[string]json.RawMessage{
	"provider": json.RawMessage(`{"struct":[
		["Parameters",{"texts":{"bucket":"my-bucket","region":"eu-west-1","empty":"","opts":"a b  c","quote":"it's \"x\""}}],
		["CSIDriverSecretRef",{"struct":[["Name",{"text":"n"}],["Namespace",{"text":""}]]}],
		["GeneratedStorageClassName",{"text":""}]]}`),
	"mixed": json.RawMessage(`{"json":{"s":"text","empty":"","u":"äöü ñ 日本","n":42,"neg":-7,"zero":0,"f":2.5,"big":1234567.5,
		"huge":1e21,"tiny":1e-7,"yes":true,"no":false,"nothing":null,"list":[1,"a",null,2.5,true],"words":["b","a","c","a"],
		"none":[],"void":{},"nested":{"a":{"b":{"c":"deep"}},"x":null},"html":"<a href=\"x\">&'</a>"}}`),
	"cozy": json.RawMessage(`{"map":{
		"Application":{"json":{"metadata":{"name":"db","namespace":"tenant-x"},"spec":{"replicas":3,"size":"10Gi","users":{"a":{"readonly":true}}}}},
		"Release":{"texts":{"Name":"db-rel","Namespace":"tenant-x"}},
		"Parameters":{"texts":{"bucket":"b"}},
		"Mode":{"text":"backup"}}}`),
}

// value builds a context of the types it names.
func value(raw json.RawMessage) any {
	if len(raw) == 0 {
		return nil
	}
	var tagged map[string]json.RawMessage
	check(json.Unmarshal(raw, &tagged))
	for kind, inner := range tagged {
		switch kind {
		case "struct":
			var fields [][2]json.RawMessage
			check(json.Unmarshal(inner, &fields))
			return structOf(fields)
		case "map":
			var entries map[string]json.RawMessage
			check(json.Unmarshal(inner, &entries))
			out := map[string]any{}
			for key, entry := range entries {
				out[key] = value(entry)
			}
			return out
		case "texts":
			out := map[string]string{}
			check(json.Unmarshal(inner, &out))
			return out
		case "text":
			var out string
			check(json.Unmarshal(inner, &out))
			return out
		case "json":
			decoder := json.NewDecoder(strings.NewReader(string(inner)))
			decoder.UseNumber()
			var out any
			check(decoder.Decode(&out))
			return numbers(out)
		}
	}
	panic("unknown context")
}

func structOf(fields [][2]json.RawMessage) any {
	types, values := []reflect.StructField{}, []any{}
	for _, field := range fields {
		var name string
		check(json.Unmarshal(field[0], &name))
		v := value(field[1])
		types = append(types, reflect.StructField{Name: name, Type: reflect.TypeOf(v)})
		values = append(values, v)
	}
	out := reflect.New(reflect.StructOf(types)).Elem()
	for i, v := range values {
		out.Field(i).Set(reflect.ValueOf(v))
	}
	return out.Interface()
}

// numbers gives whole numbers int64 and others float64, as Kubernetes decodes JSON.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		check(err)
		return f
	case map[string]any:
		for key := range v {
			v[key] = numbers(v[key])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	}
	return v
}
