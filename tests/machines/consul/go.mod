// Builds one Consul server for the test machines: see ../prepare.
// Consul's own go.mod has replace lines, so `go install …@version` refuses it; as a dependency
// those lines do not count. Its exclude lines must be repeated here for the same reason.
module lifeboat.invalid/consul

go 1.24

tool github.com/hashicorp/consul

require github.com/hashicorp/consul v1.20.1

exclude (
	github.com/hashicorp/go-msgpack v1.1.5
	github.com/hashicorp/go-msgpack v1.1.6
)
