{{- define "holdfast-apps.labels" -}}
app.kubernetes.io/name: holdfast-apps
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "holdfast-apps.selector" -}}
app.kubernetes.io/name: holdfast-apps
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "holdfast-apps.tag" -}}
{{- .Values.imageTag | default .Chart.AppVersion }}
{{- end }}
