package deploy_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// object is a mapping of the template.
type object = map[string]any

// template is a template as it is for one set of parameters: conditions are decided, what they leave out is gone, and
// references are texts: "Ref X", "GetAtt X.Arn", "Sub text".
type template struct {
	parameters map[string]string
	conditions object
	decided    map[string]bool
	globals    object // of functions
	resources  map[string]object
}

// nothing is AWS::NoValue: what holds it goes.
type nothing struct{}

// evaluate reads a template and decides it for the parameters, or their defaults.
func evaluate(text string, parameters map[string]string) (*template, error) {
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(text), &node); err != nil {
		return nil, err
	}
	whole, err := plain(&node)
	if err != nil {
		return nil, err
	}
	doc, _ := whole.(object)
	t := &template{
		parameters: map[string]string{}, conditions: at[object](doc, "Conditions"), decided: map[string]bool{},
		resources: map[string]object{},
	}
	for name, declared := range at[object](doc, "Parameters") {
		t.parameters[name] = fmt.Sprint(declared.(object)["Default"])
	}
	maps.Copy(t.parameters, parameters)
	t.globals, _ = t.decide(at[any](doc, "Globals", "Function")).(object)
	for name, resource := range at[object](doc, "Resources") {
		if condition, ok := resource.(object)["Condition"].(string); ok && !t.holds(condition) {
			continue
		}
		t.resources[name] = t.decide(resource).(object)
	}
	return t, nil
}

// plain turns a node into maps, lists and scalars; a short tag such as !GetAtt becomes its long form.
func plain(node *yaml.Node) (any, error) {
	var value any
	switch node.Kind {
	case yaml.DocumentNode:
		return plain(node.Content[0])
	case yaml.MappingNode:
		m := object{}
		for i := 0; i < len(node.Content); i += 2 {
			name := node.Content[i].Value
			if _, twice := m[name]; twice {
				return nil, fmt.Errorf("line %d: %s stands there twice", node.Content[i].Line, name)
			}
			v, err := plain(node.Content[i+1])
			if err != nil {
				return nil, err
			}
			m[name] = v
		}
		value = m
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range node.Content {
			v, err := plain(item)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		value = list
	case yaml.ScalarNode:
		value = node.Value
		if node.ShortTag() == "!!int" || node.ShortTag() == "!!bool" {
			if err := node.Decode(&value); err != nil {
				return nil, err
			}
		}
	default:
		return nil, fmt.Errorf("line %d: neither mapping nor list nor scalar", node.Line)
	}
	switch tag := node.Tag; {
	case tag == "!Ref" || tag == "!Condition":
		return object{tag[1:]: value}, nil
	case strings.HasPrefix(tag, "!") && !strings.HasPrefix(tag, "!!"):
		return object{"Fn::" + tag[1:]: value}, nil
	}
	return value, nil
}

// decide replaces what depends on the parameters.
func (t *template) decide(value any) any {
	switch v := value.(type) {
	case []any:
		list := []any{}
		for _, item := range v {
			if decided := t.decide(item); !isNothing(decided) {
				list = append(list, decided)
			}
		}
		return list
	case object:
		if len(v) == 1 {
			for name, argument := range v {
				if decided, ok := t.function(name, argument); ok {
					return decided
				}
			}
		}
		m := object{}
		for name, item := range v {
			if decided := t.decide(item); !isNothing(decided) {
				m[name] = decided
			}
		}
		return m
	}
	return value
}

func isNothing(v any) bool {
	_, ok := v.(nothing)
	return ok
}

// function decides an intrinsic function; false if it is none.
func (t *template) function(name string, argument any) (any, bool) {
	switch name {
	case "Ref":
		target := argument.(string)
		if target == "AWS::NoValue" {
			return nothing{}, true
		}
		if value, ok := t.parameters[target]; ok {
			return value, true
		}
		return "Ref " + target, true
	case "Fn::GetAtt":
		return "GetAtt " + argument.(string), true
	case "Fn::Sub":
		text := argument.(string)
		for parameter, value := range t.parameters {
			text = strings.ReplaceAll(text, "${"+parameter+"}", value)
		}
		return "Sub " + text, true
	case "Fn::If":
		branches := argument.([]any)
		if t.holds(branches[0].(string)) {
			return t.decide(branches[1]), true
		}
		return t.decide(branches[2]), true
	case "Fn::Equals":
		sides := argument.([]any)
		return fmt.Sprint(t.decide(sides[0])) == fmt.Sprint(t.decide(sides[1])), true
	case "Fn::Not":
		return !t.decide(argument.([]any)[0]).(bool), true
	}
	return nil, false
}

func (t *template) holds(condition string) bool {
	if _, known := t.decided[condition]; !known {
		t.decided[condition] = t.decide(t.conditions[condition]).(bool)
	}
	return t.decided[condition]
}

// ofType lists the names of the resources of a type, in order.
func (t *template) ofType(kind string) []string {
	var names []string
	for name, resource := range t.resources {
		if resource["Type"] == kind {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// property is a property of a resource; a function also has the global ones.
func property[T any](t *template, resource string, path ...string) T {
	if t.resources[resource]["Type"] == function {
		if _, own := at[object](t.resources[resource], "Properties")[path[0]]; !own {
			return at[T](t.globals, path...)
		}
	}
	return at[T](t.resources[resource], append([]string{"Properties"}, path...)...)
}

// at follows a path; what is not there, or is something else, is the zero value.
func at[T any](value any, path ...string) T {
	for _, name := range path {
		m, _ := value.(object)
		value = m[name]
	}
	v, _ := value.(T)
	return v
}

// texts is a value as a list of texts: IAM takes one or many.
func texts(value any) []string {
	var list []string
	switch v := value.(type) {
	case nil:
	case []any:
		for _, item := range v {
			list = append(list, fmt.Sprint(item))
		}
	default:
		list = append(list, fmt.Sprint(v))
	}
	return list
}
