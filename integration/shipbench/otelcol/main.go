// Otelcol is the OpenTelemetry Collector as shipbench measures it: the filelog
// receiver, a sending queue on disk that is synced (file_storage, fsync), and a
// small exporter on exporterhelper that posts each line to an HTTP Event
// Collector, with gzip. It has a module of its own, since the collector's modules
// are many.
//
//	otelcol FILE STATE_FOLDER URL
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/filelogreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
)

// settings are what its documentation suggests for files that must not be lost:
// the positions and the queue on disk, synced, and
// nothing dropped where the queue is full.
const settings = `yaml:
extensions:
  file_storage: {directory: %[2]q, create_directory: true, fsync: true}
receivers:
  file_log: {include: [%[1]q], start_at: beginning, storage: file_storage}
exporters:
  hec:
    url: %[3]q
    sending_queue: {enabled: true, storage: file_storage, queue_size: 1000, block_on_overflow: true, num_consumers: 2}
service:
  telemetry: {metrics: {level: none}, logs: {level: warn}}
  extensions: [file_storage]
  pipelines:
    logs: {receivers: [file_log], exporters: [hec]}
`

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: otelcol FILE STATE_FOLDER URL")
		os.Exit(2)
	}
	if err := run(fmt.Sprintf(settings, os.Args[1], os.Args[2], os.Args[3])); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(settings string) error {
	c, err := otelcol.NewCollector(otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{Command: "otelcol", Version: "shipbench"},
		Factories: func() (f otelcol.Factories, err error) {
			if f.Receivers, err = otelcol.MakeFactoryMap[receiver.Factory](filelogreceiver.NewFactory()); err != nil {
				return f, err
			}
			if f.Extensions, err = otelcol.MakeFactoryMap[extension.Factory](filestorage.NewFactory()); err != nil {
				return f, err
			}
			f.Telemetry = otelconftelemetry.NewFactory()
			f.Exporters, err = otelcol.MakeFactoryMap[exporter.Factory](newFactory())
			return f, err
		},
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			URIs: []string{settings}, ProviderFactories: []confmap.ProviderFactory{yamlprovider.NewFactory()},
		}},
	})
	if err != nil {
		return err
	}
	return c.Run(context.Background())
}

type config struct {
	URL   string                                                   `mapstructure:"url"`
	Queue configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
}

func newFactory() exporter.Factory {
	return exporter.NewFactory(component.MustNewType("hec"), func() component.Config {
		return &config{Queue: configoptional.Some(exporterhelper.NewDefaultQueueConfig())}
	}, exporter.WithLogs(newExporter, component.StabilityLevelDevelopment))
}

func newExporter(ctx context.Context, set exporter.Settings, c component.Config) (exporter.Logs, error) {
	cfg := c.(*config)
	p := &poster{url: cfg.URL + "/services/collector/event"}
	return exporterhelper.NewLogs(ctx, set, c, p.push, exporterhelper.WithQueue(cfg.Queue))
}

// poster posts logs. Its buffers are used again.
type poster struct {
	url     string
	buffers sync.Pool
	zips    sync.Pool
}

func (p *poster) push(ctx context.Context, logs plog.Logs) error {
	body, _ := p.buffers.Get().(*bytes.Buffer)
	if body == nil {
		body = new(bytes.Buffer)
	}
	body.Reset()
	defer p.buffers.Put(body)
	zip, _ := p.zips.Get().(*gzip.Writer)
	if zip == nil {
		zip, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed)
	}
	defer p.zips.Put(zip)
	zip.Reset(body)
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				_, _ = io.WriteString(zip, `{"source":"otelcol","sourcetype":"vmcp:audit","event":`)
				_, _ = io.WriteString(zip, record.Body().Str())
				_, _ = io.WriteString(zip, "}\n")
			}
		}
	}
	_ = zip.Close() // into a buffer
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Splunk 5c0ffee5-0000-4000-8000-000000000000")
	req.Header.Set("Content-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}
