{{/* Names, labels, and what the preset of the distribution says. */}}

{{- define "auditrail.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "auditrail.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "auditrail.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* They select the pods, so they never change. */}}
{{- define "auditrail.selectorLabels" -}}
app.kubernetes.io/name: {{ include "auditrail.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "auditrail.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "auditrail.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "auditrail.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "auditrail.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "auditrail.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "auditrail.configMapName" -}}
{{- default (include "auditrail.fullname" .) .Values.existingConfigMap -}}
{{- end -}}

{{/* Empty if the pods need no Secret. */}}
{{- define "auditrail.secretName" -}}
{{- if .Values.existingSecret -}}
{{- .Values.existingSecret -}}
{{- else if .Values.secrets -}}
{{- include "auditrail.fullname" . -}}
{{- end -}}
{{- end -}}

{{/* The preset as YAML, with what the values say instead. */}}
{{- define "auditrail.preset" -}}
{{- $preset := get (.Files.Get "presets.yaml" | fromYaml) .Values.distribution -}}
{{- with .Values.auditLog.path -}}
{{- $preset = omit (set $preset "log" .) "directory" "holdDirectory" -}}
{{- end -}}
{{- $directory := default (get $preset "directory" | default (dir $preset.log)) .Values.auditLog.directory -}}
{{- if not (hasPrefix (printf "%s/" (trimSuffix "/" $directory)) $preset.log) -}}
{{- fail (printf "auditLog.directory: %s does not contain the log %s" $directory $preset.log) -}}
{{- end -}}
{{- $preset = set $preset "directory" (trimSuffix "/" $directory) -}}
{{- if kindIs "bool" .Values.scc.create -}}
{{- $preset = set $preset "scc" .Values.scc.create -}}
{{- end -}}
{{- toYaml $preset -}}
{{- end -}}
