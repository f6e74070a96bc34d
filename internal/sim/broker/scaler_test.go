package broker_test

import (
	"sluice/internal/scaler"
	"sluice/internal/sim/broker"
)

var _ scaler.Broker = (*broker.Client)(nil)
