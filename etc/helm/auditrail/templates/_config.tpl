{{/* The agent's configuration: what the values say, over what the chart knows, as TOML. */}}

{{- define "auditrail.config" -}}
{{- if kindIs "string" .Values.config -}}
{{- .Values.config -}}
{{- else -}}
# Written by the chart. etc/auditrail.toml and etc/examples explain all keys.
{{ include "auditrail.toml" (include "auditrail.configMap" . | fromYaml) }}
{{- end -}}
{{- end -}}

{{/* The configuration as YAML. */}}
{{- define "auditrail.configMap" -}}
{{- $preset := include "auditrail.preset" . | fromYaml -}}
{{- $given := default dict .Values.config -}}
{{- if not (get $given "outputs") -}}
{{- $example := "--set config.outputs.loki.type=loki --set config.outputs.loki.endpoint=http://loki-gateway.loki.svc" -}}
{{- $text := "or give the whole of auditrail.toml with --set-file config=FILE or existingConfigMap" -}}
{{- fail (printf "config.outputs: name at least one output, for instance %s; %s" $example $text) -}}
{{- end -}}
{{- if hasKey $given "state_dir" -}}
{{- fail "config.state_dir: in the pod it is /var/lib/auditrail; set stateHostPath to move it on the node" -}}
{{- end -}}
{{- $path := dig "inputs" "apiserver" "path" $preset.log $given -}}
{{- if ne $path $preset.log -}}
{{- fail "config.inputs.apiserver.path: set auditLog.path, so that the pod mounts its directory" -}}
{{- end -}}
{{- $input := dict "type" "file" "path" $preset.log -}}
{{- if .Values.auditLog.readOnly -}}
{{- $_ := set $input "hold" (dict "max_bytes" 0) -}}
{{- else if $preset.holdDirectory -}}
{{- $_ := set $input "hold" (dict "dir" $preset.holdDirectory) -}}
{{- end -}}
{{- $listen := printf "%s:%d" (ternary "127.0.0.1" "0.0.0.0" .Values.hostNetwork) (int .Values.port) -}}
{{- $own := dict
  "node" "${NODE_NAME}"
  "heartbeat" "5m"
  "drain_timeout" (printf "%ds" (sub (int .Values.terminationGracePeriodSeconds) 10))
  "inputs" (dict "apiserver" $input)
  "server" (dict "listen" $listen) -}}
{{- toYaml (mergeOverwrite $own (deepCopy $given)) -}}
{{- end -}}

{{/*
A map as TOML: plain values first, then a table for each map, or one for each of its maps ([outputs.loki]). Deeper maps
are inline tables. toToml is not used, because it writes every number with a fraction, which the agent refuses.
*/}}
{{- define "auditrail.toml" -}}
{{- $tables := dict -}}
{{- range $key, $value := . }}
{{- if kindIs "map" $value }}
{{- $named := true }}
{{- range $value }}{{ if not (kindIs "map" .) }}{{ $named = false }}{{ end }}{{ end }}
{{- if and $named (has $key (list "inputs" "outputs")) }}
{{- range $name, $table := $value }}
{{- $_ := set $tables (printf "%s.%s" (include "auditrail.tomlKey" $key) (include "auditrail.tomlKey" $name)) $table }}
{{- end }}
{{- else }}
{{- $_ := set $tables (include "auditrail.tomlKey" $key) $value }}
{{- end }}
{{- else if not (kindIs "invalid" $value) }}
{{ include "auditrail.tomlKey" $key }} = {{ include "auditrail.tomlValue" $value }}
{{- end }}
{{- end }}
{{- range $name, $table := $tables }}

[{{ $name }}]
{{- range $key, $value := $table }}
{{- if not (kindIs "invalid" $value) }}
{{ include "auditrail.tomlKey" $key }} = {{ include "auditrail.tomlValue" $value }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "auditrail.tomlKey" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toRawJson . }}{{ end -}}
{{- end -}}

{{- define "auditrail.tomlValue" -}}
{{- if kindIs "map" . -}}
{{- $parts := list -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $parts = append $parts (printf "%s = %s" (include "auditrail.tomlKey" $key) (include "auditrail.tomlValue" $value)) -}}
{{- end -}}
{{- end -}}
{{- if $parts }}{ {{ join ", " $parts }} }{{ else }}{}{{ end -}}
{{- else if kindIs "slice" . -}}
{{- $parts := list -}}
{{- range . -}}
{{- $parts = append $parts (include "auditrail.tomlValue" .) -}}
{{- end -}}
[{{ join ", " $parts }}]
{{- else if kindIs "string" . -}}
{{- toRawJson . -}}
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- printf "%.0f" . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}
