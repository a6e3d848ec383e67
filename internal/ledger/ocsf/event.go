package ocsf

import "github.com/stewardhq/steward"

// Event is one event, as encoding/json writes it: fields always in this order, and none that is empty.
type Event struct {
	CategoryUID  int    `json:"category_uid"`
	CategoryName string `json:"category_name"`
	ClassUID     int    `json:"class_uid"`
	ClassName    string `json:"class_name"`
	ActivityID   int    `json:"activity_id"`
	ActivityName string `json:"activity_name"`
	TypeUID      int    `json:"type_uid"`
	TypeName     string `json:"type_name"`
	Time         int64  `json:"time"` // milliseconds; raw_data has it to the microsecond
	SeverityID   int    `json:"severity_id"`
	Severity     string `json:"severity"`
	StatusID     *int   `json:"status_id,omitempty"`
	Status       string `json:"status,omitempty"`
	StatusCode   string `json:"status_code,omitempty"`
	Message      string `json:"message"`

	Metadata metadata `json:"metadata"`
	Actor    actor    `json:"actor"`

	// Of API Activity.
	SrcEndpoint *endpoint  `json:"src_endpoint,omitempty"`
	API         *api       `json:"api,omitempty"`
	Resources   []resource `json:"resources,omitempty"`

	// Of Identity & Access Management.
	User    *user    `json:"user,omitempty"`
	Service *service `json:"service,omitempty"`

	// Of the profile ai_operation.
	AIAgent *aiAgent `json:"ai_agent,omitempty"`

	// Of the profile security_control.
	ActionID       int             `json:"action_id,omitempty"`
	Action         string          `json:"action,omitempty"`
	DispositionID  int             `json:"disposition_id,omitempty"`
	Disposition    string          `json:"disposition,omitempty"`
	Policy         *policy         `json:"policy,omitempty"`
	Authorizations []authorization `json:"authorizations,omitempty"`

	// Of the profile record_integrity.
	AttestationList []attestation `json:"attestation_list"`

	RawData  string   `json:"raw_data"` // the entry's header
	Unmapped unmapped `json:"unmapped"`
}

type metadata struct {
	Version        string   `json:"version"`
	Product        product  `json:"product"`
	Profiles       []string `json:"profiles"`
	UID            string   `json:"uid"`
	Sequence       uint64   `json:"sequence"`
	LogName        string   `json:"log_name"`
	LoggedTime     int64    `json:"logged_time"`
	EventCode      string   `json:"event_code"`
	TenantUID      string   `json:"tenant_uid"`
	CorrelationUID string   `json:"correlation_uid,omitempty"`
}

type product struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
}

type actor struct {
	InvokedBy string `json:"invoked_by,omitempty"`
	User      *user  `json:"user,omitempty"`
}

type user struct {
	UID         string       `json:"uid"`
	Credentials []credential `json:"programmatic_credentials,omitempty"`
}

type credential struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type endpoint struct {
	SvcName     string `json:"svc_name"`
	InstanceUID string `json:"instance_uid,omitempty"`
}

type api struct {
	Operation string   `json:"operation"`
	Service   *service `json:"service,omitempty"`
	Request   *request `json:"request,omitempty"`
}

type request struct {
	UID string `json:"uid"`
}

type service struct {
	Name string `json:"name"`
}

type resource struct {
	UID       string `json:"uid"`
	Type      string `json:"type,omitempty"`
	Namespace string `json:"namespace,omitempty"`
}

type aiAgent struct {
	UID         string `json:"uid"`
	InstanceUID string `json:"instance_uid,omitempty"`
}

type policy struct {
	Name string `json:"name,omitempty"`
	UID  string `json:"uid"`
}

type authorization struct {
	Decision string `json:"decision"`
	Policy   policy `json:"policy"`
}

type attestation struct {
	ChainUID    string      `json:"chain_uid"`
	Fingerprint fingerprint `json:"fingerprint"`
}

type fingerprint struct {
	AlgorithmID     int    `json:"algorithm_id"`
	Algorithm       string `json:"algorithm"`
	EncodingID      int    `json:"encoding_id"`
	Encoding        string `json:"encoding"`
	SerializationID int    `json:"serialization_id"`
	Serialization   string `json:"serialization"`
	Value           string `json:"value"`
}

// unmapped is what the schema has no place for.
type unmapped struct {
	System         string   `json:"system,omitempty"`
	Tool           string   `json:"tool,omitempty"`
	Targets        []string `json:"targets,omitempty"`
	Authentication string   `json:"authentication,omitempty"`
	Effect         string   `json:"effect,omitempty"`
	Purpose        string   `json:"purpose,omitempty"`
	Records        int      `json:"records,omitempty"`
	DurationMicros int64    `json:"duration_us,omitempty"`
	Node           string   `json:"node,omitempty"`
	Parts          []part   `json:"parts,omitempty"`
}

type part struct {
	Scopes []steward.Scope `json:"scopes"`
	Len    int             `json:"len"`
	SHA256 string          `json:"sha256"`
}
