// Command openapi writes the OpenAPI document of the contracts, from a descriptor set that carries their comments.
// proto/generate.sh runs it.
package main
