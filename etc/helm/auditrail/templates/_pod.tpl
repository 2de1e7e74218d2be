{{/* Parts of the pod that are computed. */}}

{{- define "auditrail.securityContext" -}}
{{- $preset := include "auditrail.preset" . | fromYaml -}}
{{- $context := dict
  "runAsUser" 0
  "runAsGroup" 0
  "privileged" false
  "allowPrivilegeEscalation" false
  "readOnlyRootFilesystem" true
  "capabilities" (dict "drop" (list "ALL") "add" $preset.capabilities) -}}
{{- if .Values.seLinuxOptions -}}
{{- $_ := set $context "seLinuxOptions" .Values.seLinuxOptions -}}
{{- else if $preset.seLinuxType -}}
{{- $_ := set $context "seLinuxOptions" (dict "type" $preset.seLinuxType) -}}
{{- end -}}
{{- toYaml (mergeOverwrite $context (deepCopy .Values.securityContext)) -}}
{{- end -}}

{{/* A list: what to ask, the chart's settings, and the settings from the values. */}}
{{- define "auditrail.probe" -}}
{{- $command := list "/usr/local/bin/auditrail" "probe" (index . 0) "--timeout" "3s" "--state" "/var/lib/auditrail" -}}
{{- $probe := merge (index . 1) (dict "exec" (dict "command" $command) "timeoutSeconds" 5) -}}
{{- toYaml (mergeOverwrite $probe (deepCopy (index . 2))) -}}
{{- end -}}
