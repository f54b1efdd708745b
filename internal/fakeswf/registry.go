package fakeswf

import (
	"cmp"
	"slices"
	"time"
)

// domain holds types, executions and task lists; a task list is there as soon as somebody names it.
type domain struct {
	name        string
	description string
	retention   string
	deprecated  bool

	workflowTypes map[typeKey]*registeredType
	activityTypes map[typeKey]*registeredType
	runs          []*execution // in the order of their starts
	open          map[string]*execution
	decisions     map[string]*taskList
	activities    map[string]*taskList
}

type typeKey struct{ name, version string }

func keyOf(o object) typeKey {
	return typeKey{o.text("name"), o.text("version")}
}

func (k typeKey) wire() object {
	return object{"name": k.name, "version": k.version}
}

// registeredType is a workflow type or an activity type.
type registeredType struct {
	key         typeKey
	description string
	defaults    object // the default... members of its registration
	created     time.Time
	deprecated  time.Time // zero while it is registered
}

func (t *registeredType) info(member string) object {
	info := object{member: t.key.wire(), "status": status(!t.deprecated.IsZero()), "creationDate": stamp(t.created)}
	if !t.deprecated.IsZero() {
		info["deprecationDate"] = stamp(t.deprecated)
	}
	return info.put("description", t.description)
}

func status(deprecated bool) string {
	if deprecated {
		return "DEPRECATED"
	}
	return "REGISTERED"
}

func (s *Server) domain(name string) (*domain, error) {
	d := s.domains[name]
	if d == nil {
		return nil, unknownf("Unknown domain: %s", name)
	}
	return d, nil
}

func (s *Server) registerDomain(in object) (object, error) {
	name := in.text("name")
	if s.domains[name] != nil { // "Returned if the domain already exists. You may get this fault if you are registering a domain that
		// is either already registered or deprecated".
		return nil, faultf("DomainAlreadyExistsFault", "%s", name)
	}
	s.domains[name] = &domain{
		name: name, description: in.text("description"), retention: in.text("workflowExecutionRetentionPeriodInDays"),
		workflowTypes: map[typeKey]*registeredType{}, activityTypes: map[typeKey]*registeredType{},
		open: map[string]*execution{}, decisions: map[string]*taskList{}, activities: map[string]*taskList{},
	}
	return nil, nil
}

func (d *domain) info() object {
	return object{
		"name": d.name, "status": status(d.deprecated), "arn": "arn:aws:swf:us-east-1:123456789012:/domain/" + d.name,
	}.put("description", d.description)
}

func (s *Server) describeDomain(in object) (object, error) {
	d, err := s.domain(in.text("name"))
	if err != nil {
		return nil, err
	}
	return object{
		"domainInfo": d.info(), "configuration": object{"workflowExecutionRetentionPeriodInDays": d.retention},
	}, nil
}

func (s *Server) deprecateDomain(in object) (object, error) {
	d, err := s.domain(in.text("name"))
	if err != nil {
		return nil, err
	}
	if d.deprecated {
		return nil, faultf("DomainDeprecatedFault", "%s", d.name)
	}
	d.deprecated = true
	return nil, nil
}

func (s *Server) undeprecateDomain(in object) (object, error) {
	d, err := s.domain(in.text("name"))
	if err != nil {
		return nil, err
	}
	if !d.deprecated {
		return nil, faultf("DomainAlreadyExistsFault", "%s", d.name)
	}
	d.deprecated = false
	return nil, nil
}

func (s *Server) listDomains(in object) (object, error) {
	var found []*domain
	for _, d := range s.domains {
		if status(d.deprecated) == in.text("registrationStatus") {
			found = append(found, d)
		}
	}
	// "By default, the results are returned in ascending alphabetical order by name of the domains."
	slices.SortFunc(found, func(a, b *domain) int { return cmp.Compare(a.name, b.name) })
	var infos []object
	for _, d := range found {
		infos = append(infos, d.info())
	}
	return s.pageOf("domainInfos", infos, in)
}

// typeTable says where a kind of types is kept.
type typeTable struct {
	member string // workflowType or activityType
	of     func(*domain) map[typeKey]*registeredType
}

var (
	workflowTypes = typeTable{"workflowType", func(d *domain) map[typeKey]*registeredType { return d.workflowTypes }}
	activityTypes = typeTable{"activityType", func(d *domain) map[typeKey]*registeredType { return d.activityTypes }}
)

func (s *Server) registerWorkflowType(in object) (object, error) {
	// "Unlike some of the other timeout parameters in Amazon SWF, you cannot specify a value of "NONE" for
	// defaultExecutionStartToCloseTimeout; there is a one-year max limit".
	if err := checkExecutionTimeout("defaultExecutionStartToCloseTimeout", in); err != nil {
		return nil, err
	}
	return s.registerType(workflowTypes, in)
}

func (s *Server) registerActivityType(in object) (object, error) {
	return s.registerType(activityTypes, in)
}

func (s *Server) registerType(table typeTable, in object) (object, error) {
	d, err := s.domain(in.text("domain"))
	if err != nil {
		return nil, err
	}
	key := keyOf(in)
	if table.of(d)[key] != nil {
		return nil, faultf("TypeAlreadyExistsFault", "%s=[name=%s, version=%s]", upperFirst(table.member), key.name, key.version)
	}
	if len(table.of(d)) >= s.limits.Types { // "Returned by any operation if a system imposed limitation has been reached."
		return nil, faultf("LimitExceededFault", "Too many types in the domain")
	}
	t := &registeredType{key: key, description: in.text("description"), defaults: object{}, created: s.now()}
	for member, value := range in {
		if text, ok := value.(string); len(member) > 7 && member[:7] == "default" && (!ok || text != "") {
			t.defaults[member] = value
		}
	}
	table.of(d)[key] = t
	return nil, nil
}

func (s *Server) typeOf(table typeTable, in object) (*domain, *registeredType, error) {
	d, err := s.domain(in.text("domain"))
	if err != nil {
		return nil, nil, err
	}
	key := keyOf(in.sub(table.member))
	t := table.of(d)[key]
	if t == nil {
		return nil, nil, unknownType(table, key)
	}
	return d, t, nil
}

func unknownType(table typeTable, key typeKey) error {
	return unknownf("Unknown type: %s=[name=%s, version=%s]", upperFirst(table.member), key.name, key.version)
}

func (s *Server) describeWorkflowType(in object) (object, error) {
	return s.describeType(workflowTypes, in)
}
func (s *Server) describeActivityType(in object) (object, error) {
	return s.describeType(activityTypes, in)
}

func (s *Server) describeType(table typeTable, in object) (object, error) {
	_, t, err := s.typeOf(table, in)
	if err != nil {
		return nil, err
	}
	return object{"typeInfo": t.info(table.member), "configuration": t.defaults}, nil
}

func (s *Server) deprecateWorkflowType(in object) (object, error) {
	return s.deprecate(workflowTypes, in, true)
}
func (s *Server) deprecateActivityType(in object) (object, error) {
	return s.deprecate(activityTypes, in, true)
}
func (s *Server) undeprecateWorkflowType(in object) (object, error) {
	return s.deprecate(workflowTypes, in, false)
}
func (s *Server) undeprecateActivityType(in object) (object, error) {
	return s.deprecate(activityTypes, in, false)
}

func (s *Server) deprecate(table typeTable, in object, yes bool) (object, error) {
	_, t, err := s.typeOf(table, in)
	switch {
	case err != nil:
		return nil, err
	case yes && !t.deprecated.IsZero():
		return nil, faultf("TypeDeprecatedFault", "%s", t.key.name)
	case !yes && t.deprecated.IsZero():
		return nil, faultf("TypeAlreadyExistsFault", "%s", t.key.name)
	case yes:
		t.deprecated = s.now()
	default:
		t.deprecated = time.Time{}
	}
	return nil, nil
}

func (s *Server) deleteWorkflowType(in object) (object, error) {
	return s.deleteType(workflowTypes, in)
}
func (s *Server) deleteActivityType(in object) (object, error) {
	return s.deleteType(activityTypes, in)
}

// deleteType follows "Prior to deletion, workflow types must first be deprecated", and activity types too; else it is
// TypeNotDeprecatedFault.
func (s *Server) deleteType(table typeTable, in object) (object, error) {
	d, t, err := s.typeOf(table, in)
	if err != nil {
		return nil, err
	}
	if t.deprecated.IsZero() {
		return nil, faultf("TypeNotDeprecatedFault", "%s", t.key.name)
	}
	delete(table.of(d), t.key)
	return nil, nil
}

func (s *Server) listWorkflowTypes(in object) (object, error) { return s.listTypes(workflowTypes, in) }
func (s *Server) listActivityTypes(in object) (object, error) { return s.listTypes(activityTypes, in) }

func (s *Server) listTypes(table typeTable, in object) (object, error) {
	d, err := s.domain(in.text("domain"))
	if err != nil {
		return nil, err
	}
	var found []*registeredType
	for _, t := range table.of(d) {
		if status(!t.deprecated.IsZero()) == in.text("registrationStatus") && (!in.has("name") || in.text("name") == t.key.name) {
			found = append(found, t)
		}
	}
	// "By default the results are returned in ascending alphabetical order of the name".
	slices.SortFunc(found, func(a, b *registeredType) int {
		return cmp.Or(cmp.Compare(a.key.name, b.key.name), cmp.Compare(a.key.version, b.key.version))
	})
	var infos []object
	for _, t := range found {
		infos = append(infos, t.info(table.member))
	}
	return s.pageOf("typeInfos", infos, in)
}
