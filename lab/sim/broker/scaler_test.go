package broker_test

import (
	"sluice/internal/scaler"
	"sluice/lab/sim/broker"
)

var _ scaler.Broker = (*broker.Client)(nil)
