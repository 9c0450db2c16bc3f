{{- define "holdfast-dp.labels" -}}
app.kubernetes.io/name: holdfast-dp
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "holdfast-dp.selector" -}}
app.kubernetes.io/name: holdfast-dp
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "holdfast-dp.tag" -}}
{{- .Values.imageTag | default .Chart.AppVersion }}
{{- end }}
